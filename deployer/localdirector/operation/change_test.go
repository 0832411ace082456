package operation

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
)

// unchanged is an instance that is as it is wanted.
func unchanged() (observed, wanted) {
	s := spec{
		Machine: machineSpec{
			Stemcell: db.NameVersion{Name: "s", Version: "1"}, VMType: "small", Properties: manifest.CloudProperties{MemoryMiB: 1},
			Networks: []networkSpec{{Name: "n", IP: netip.MustParseAddr("10.0.0.2"), Default: []string{"dns"}}},
		},
		Jobs: []jobRef{{"web", "1"}}, Packages: []packageRef{{Name: "p", Version: "1", Key: "k", Digest: "d"}},
		Templates: templatesRef{ConfigurationHash: "h", Digest: "t"},
	}
	same := s
	disk := &diskSpec{SizeMiB: 10}
	return observed{
		row:  db.Instance{Group: "web", State: db.StateStarted, UpdateCompleted: true, VM: &db.VM{CID: "vm"}},
		spec: &same, disk: db.Disk{CID: "disk", SizeMiB: 10, Active: true}, jobState: "running",
	}, wanted{group: "web", spec: s, disk: disk, state: db.StateStarted}
}

func TestChanges(t *testing.T) {
	for name, c := range map[string]struct {
		alter func(*observed, *wanted)
		want  []change
		newVM bool
	}{
		"nothing":               {func(*observed, *wanted) {}, nil, false},
		"a vm_type's name":      {func(_ *observed, w *wanted) { w.spec.Machine.VMType = "tiny" }, nil, false},
		"the packages' digests": {func(_ *observed, w *wanted) { w.spec.Packages = []packageRef{{Name: "p", Version: "1", Key: "k"}} }, nil, false},
		"the archive's digest":  {func(_ *observed, w *wanted) { w.spec.Templates.Digest = "other" }, nil, false},
		"watch times":           {func(_ *observed, w *wanted) { w.spec.Update.Serial = true }, nil, false},
		"configuration":         {func(_ *observed, w *wanted) { w.spec.Templates.ConfigurationHash = "x" }, []change{changeConfiguration}, false},
		"job":                   {func(_ *observed, w *wanted) { w.spec.Jobs = []jobRef{{"web", "2"}} }, []change{changeJob}, false},
		"another group":         {func(_ *observed, w *wanted) { w.group = "app" }, []change{changeJob}, false},
		"package":               {func(_ *observed, w *wanted) { w.spec.Packages = []packageRef{{Name: "p", Version: "1", Key: "other"}} }, []change{changePackages}, false},
		"memory":                {func(_ *observed, w *wanted) { w.spec.Machine.Properties.MemoryMiB = 2 }, []change{changeCloudProperties}, true},
		"stemcell":              {func(_ *observed, w *wanted) { w.spec.Machine.Stemcell.Version = "2" }, []change{changeStemcell}, true},
		"env":                   {func(_ *observed, w *wanted) { w.spec.Machine.Env = []byte(`{"a":1}`) }, []change{changeEnv}, true},
		"address": {func(_ *observed, w *wanted) {
			w.spec.Machine.Networks = []networkSpec{{Name: "n", IP: netip.MustParseAddr("10.0.0.3"), Default: []string{"dns"}}}
		}, []change{changeNetwork}, true},
		"disk size":          {func(_ *observed, w *wanted) { w.disk = &diskSpec{SizeMiB: 20} }, []change{changePersistentDisk}, false},
		"no disk":            {func(_ *observed, w *wanted) { w.disk = nil }, []change{changePersistentDisk}, false},
		"a disk at last":     {func(o *observed, _ *wanted) { o.disk = db.Disk{} }, []change{changePersistentDisk}, false},
		"disk properties":    {func(_ *observed, w *wanted) { w.disk = &diskSpec{SizeMiB: 10, Properties: []byte(`{"a":1}`)} }, []change{changePersistentDisk}, false},
		"an earlier failure": {func(o *observed, _ *wanted) { o.row.UpdateCompleted = false }, []change{changeDirty}, false},
		"failing jobs":       {func(o *observed, _ *wanted) { o.jobState = "failing" }, []change{changeState}, false},
		"a silent agent":     {func(o *observed, _ *wanted) { o.jobState = agentUnresponsive }, []change{changeRecreate, changeState}, true},
		"a dead VM":          {func(o *observed, _ *wanted) { o.jobState, o.vmGone = "", true }, []change{changeState}, false},
		"restart":            {func(_ *observed, w *wanted) { w.restart = true }, []change{changeRestart}, false},
		"recreate":           {func(_ *observed, w *wanted) { w.recreate = true }, []change{changeRecreate}, true},
		"recreate disks":     {func(_ *observed, w *wanted) { w.recreateDisks = true }, []change{changeRecreateDisks}, false},
		"to be stopped":      {func(_ *observed, w *wanted) { w.state = db.StateStopped }, []change{changeState}, false},
		"to be detached":     {func(_ *observed, w *wanted) { w.state = db.StateDetached }, []change{changeState}, false},
		"stopped as it should be": {func(o *observed, w *wanted) {
			o.row.State, w.state, o.jobState = db.StateStopped, db.StateStopped, "stopped"
		}, nil, false},
		"stopped but running": {func(o *observed, w *wanted) { o.row.State, w.state = db.StateStopped, db.StateStopped }, []change{changeState}, false},
		"stopped with a dead VM": {func(o *observed, w *wanted) {
			o.row.State, w.state, o.jobState, o.vmGone = db.StateStopped, db.StateStopped, "", true
		}, []change{changeState}, false},
		"detached as it should be": {func(o *observed, w *wanted) {
			o.row.State, w.state, o.jobState, o.row.VM = db.StateDetached, db.StateDetached, "", nil
		}, nil, false},
		"new": {func(o *observed, _ *wanted) { *o = observed{row: db.Instance{State: db.StateStarted}} },
			[]change{changeDirty, changePackages, changePersistentDisk, changeConfiguration, changeJob, changeState}, false},
	} {
		t.Run(name, func(t *testing.T) {
			is, want := unchanged()
			c.alter(&is, &want)
			got := changes(is, want)
			if !reflect.DeepEqual(got, c.want) || needsNewVM(got) != c.newVM {
				t.Errorf("got %v, new VM %v; want %v, %v", got, needsNewVM(got), c.want, c.newVM)
			}
		})
	}
}

// TestSpecSurvivesItsRow: what went through the database is no change.
func TestSpecSurvivesItsRow(t *testing.T) {
	env, err := canonicalJSON(map[string]any{"bosh": map[string]any{"n": 5, "f": 1.5, "s": "<&>", "l": []any{}}})
	if err != nil {
		t.Fatal(err)
	}
	s := spec{Machine: machineSpec{Env: env, Networks: []networkSpec{{
		Name: "n", IP: netip.MustParseAddr("10.0.0.2"), Prefix: netip.MustParsePrefix("10.0.0.0/24"), Gateway: netip.MustParseAddr("10.0.0.1"),
	}}}, Packages: []packageRef{}}
	raw, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := decodeSpec(raw)
	if err != nil {
		t.Fatal(err)
	}
	is := observed{row: db.Instance{State: db.StateStarted, UpdateCompleted: true, VM: &db.VM{}}, spec: back, jobState: jobsRunning}
	if got := changes(is, wanted{spec: s, state: db.StateStarted}); len(got) != 0 {
		t.Errorf("changes %v", got)
	}
	if mask := netmask(netip.MustParsePrefix("10.0.0.0/20")); mask != "255.255.240.0" {
		t.Errorf("netmask %s", mask)
	}
}
