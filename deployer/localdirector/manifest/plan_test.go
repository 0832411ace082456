package manifest_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
)

// ids makes ids that say when they were made.
func ids() func() string {
	n := 0
	return func() string { n++; return fmt.Sprintf("new%d", n) }
}

// group is a manifest with one group.
func group(t *testing.T, cloud *manifest.CloudConfig, body string) *manifest.Manifest {
	t.Helper()
	text := "name: demo\nreleases: [{name: hello, version: latest}]\nstemcells: [{alias: default, os: rig-os, version: latest}]\n" +
		"update: {canaries: 1, max_in_flight: 1, canary_watch_time: 1, update_watch_time: 1}\ninstance_groups:\n" +
		"- {name: web, vm_type: default, stemcell: default, jobs: [], " + body + "}\n"
	m, err := manifest.Parse(readManifest(t, text), cloud, uploaded, manifest.Options{})
	if err != nil {
		t.Fatalf("parse manifest: %v", err)
	}
	return m
}

func ip(text string) netip.Addr { return netip.MustParseAddr(text) }

// existing reads "index az ip" with flags: d has a disk, b is bootstrap, i ignored.
func existing(t *testing.T, lines ...string) []manifest.Existing {
	t.Helper()
	var out []manifest.Existing
	for _, l := range lines {
		parts := strings.Fields(l + " - - -")
		e := manifest.Existing{Group: "web", ID: "old" + parts[0]}
		if _, err := fmt.Sscan(parts[0], &e.Index); err != nil {
			t.Fatal(err)
		}
		if parts[1] != "-" {
			e.AZ = parts[1]
		}
		if parts[2] != "-" {
			e.Addresses = []manifest.Address{{Network: "default", IP: ip(parts[2])}}
		}
		e.HasDisk, e.Bootstrap, e.Ignore = strings.Contains(parts[3], "d"), strings.Contains(parts[3], "b"), strings.Contains(parts[3], "i")
		out = append(out, e)
	}
	return out
}

// summary is a plan in short: id/index az addresses, * for bootstrap.
func summary(p *manifest.DeploymentPlan) (instances, obsolete []string) {
	for _, g := range p.Groups {
		for _, i := range g.Instances {
			s := fmt.Sprintf("%s/%d %s", i.ID, i.Index, i.AZ)
			for _, n := range i.Networks {
				s += " " + n.IP.String()
			}
			if i.Bootstrap {
				s += " *"
			}
			instances = append(instances, s)
		}
	}
	for _, e := range p.Obsolete {
		obsolete = append(obsolete, e.ID)
	}
	return instances, obsolete
}

func TestPlan(t *testing.T) {
	cases := map[string]struct {
		group    string
		existing []string
		taken    []manifest.Reservation
		want     []string
		obsolete []string
	}{
		"as the director did": {
			group: "instances: 2, azs: [z1, z2], networks: [{name: default}]",
			want:  []string{"new1/0 z1 10.244.0.31 *", "new2/1 z2 10.244.0.32"},
		},
		"no zones": {
			group: "instances: 2, networks: [{name: nozone}]",
			want:  []string{"new1/0  10.246.0.2 *", "new2/1  10.246.0.3"},
		},
		"addresses are kept": {
			group:    "instances: 2, azs: [z1, z2], networks: [{name: default}]",
			existing: []string{"0 z1 10.244.0.77 b", "1 z2 10.244.0.33"},
			want:     []string{"old0/0 z1 10.244.0.77 *", "old1/1 z2 10.244.0.33"},
		},
		"others' addresses are left alone": {
			group: "instances: 2, azs: [z1], networks: [{name: default}]",
			taken: []manifest.Reservation{{IP: ip("10.244.0.31"), Deployment: "x", Instance: "db/1"}, {IP: ip("10.244.0.33")}},
			want:  []string{"new1/0 z1 10.244.0.32 *", "new2/1 z1 10.244.0.34"},
		},
		"reserved meanwhile, static meanwhile": {
			group:    "instances: 2, azs: [z1], networks: [{name: default}]",
			existing: []string{"0 z1 10.244.0.5 b", "1 z1 10.244.0.20"},
			want:     []string{"old0/0 z1 10.244.0.31 *", "old1/1 z1 10.244.0.32"},
		},
		"scaled up: the emptier zone, the lowest free index, the address of nobody": {
			group:    "instances: 3, azs: [z1, z2], networks: [{name: default}]",
			existing: []string{"0 z2 10.244.0.31", "2 z2 10.244.0.32 b"},
			want:     []string{"old0/0 z2 10.244.0.31", "new1/1 z1 10.244.0.33", "old2/2 z2 10.244.0.32 *"},
		},
		"scaled down: the highest index of the fullest zone goes": {
			group:    "instances: 2, azs: [z1, z2], networks: [{name: default}]",
			existing: []string{"0 z1 10.244.0.31 b", "1 z1 10.244.0.32", "2 z2 10.244.0.33"},
			want:     []string{"old0/0 z1 10.244.0.31 *", "old2/2 z2 10.244.0.33"},
			obsolete: []string{"old1"},
		},
		"scaled down with disks: the lowest indexes stay": {
			group:    "instances: 2, azs: [z1, z2], networks: [{name: default}]",
			existing: []string{"0 z1 10.244.0.31 db", "1 z1 10.244.0.32 d", "2 z2 10.244.0.33 d"},
			want:     []string{"old0/0 z1 10.244.0.31 *", "old1/1 z1 10.244.0.32"},
			obsolete: []string{"old2"},
		},
		"scaled down to nothing": {
			group:    "instances: 0, azs: [z1], networks: [{name: default}]",
			existing: []string{"0 z1 10.244.0.31 b"},
			obsolete: []string{"old0"},
		},
		"the bootstrap instance went": {
			group:    "instances: 1, azs: [z1], networks: [{name: default}]",
			existing: []string{"0 z2 10.244.0.31 b", "3 z1 10.244.0.32"},
			want:     []string{"old3/3 z1 10.244.0.32 *"},
			obsolete: []string{"old0"},
		},
		"a new zone is used, but disks stay where they are": {
			group:    "instances: 3, azs: [z1, z2], networks: [{name: default}]",
			existing: []string{"0 z1 10.244.0.31 db", "1 z1 10.244.0.32 d"},
			want:     []string{"old0/0 z1 10.244.0.31 *", "old1/1 z1 10.244.0.32", "new1/2 z2 10.244.0.33"},
		},
		"ignored ones stay": {
			group:    "instances: 1, azs: [z1], networks: [{name: default}]",
			existing: []string{"0 z1 10.244.0.31 b", "1 z1 10.244.0.32 i"},
			want:     []string{"old1/1 z1 10.244.0.32 *"},
			obsolete: []string{"old0"},
		},
		"an address per network, each of its zone": {
			group: "instances: 2, azs: [z1, z2], networks: [{name: default, default: [dns, gateway]}, {name: second}]",
			want:  []string{"new1/0 z1 10.244.0.31 10.245.1.4 *", "new2/1 z2 10.244.0.32 10.245.2.4"},
		},
		"static ips": {
			group: "instances: 2, azs: [z1, z2], networks: [{name: default, static_ips: [10.244.0.12, 10.244.0.11]}]",
			want:  []string{"new1/0 z1 10.244.0.12 *", "new2/1 z2 10.244.0.11"},
		},
		"static ips decide the zone": {
			group: "instances: 3, azs: [z1, z2], networks: [{name: second, static_ips: [10.245.2.2-10.245.2.3, 10.245.1.2]}]",
			want:  []string{"new1/0 z2 10.245.2.2 *", "new2/1 z2 10.245.2.3", "new3/2 z1 10.245.1.2"},
		},
		"static ips of two networks agree on zones": {
			group: "instances: 2, azs: [z1, z2], networks: [{name: default, default: [dns, gateway], static_ips: [10.244.0.10-10.244.0.11]}, {name: second, static_ips: [10.245.2.2, 10.245.2.3]}]",
			want:  []string{"new1/0 z2 10.244.0.10 10.245.2.2 *", "new2/1 z2 10.244.0.11 10.245.2.3"},
		},
		"static ips stay with their instances": {
			group:    "instances: 3, azs: [z1, z2], networks: [{name: default, static_ips: [10.244.0.10, 10.244.0.11, 10.244.0.12]}]",
			existing: []string{"0 z2 10.244.0.12 b", "1 z1 10.244.0.31"},
			want:     []string{"old0/0 z2 10.244.0.12 *", "old1/1 z1 10.244.0.10", "new1/2 z1 10.244.0.11"},
		},
		"from static to chosen by the director": {
			group:    "instances: 1, azs: [z1], networks: [{name: default}]",
			existing: []string{"0 z1 10.244.0.12 b"},
			want:     []string{"old0/0 z1 10.244.0.31 *"},
		},
		"a renamed network keeps addresses": {
			group:    "instances: 1, azs: [z1], networks: [{name: second}]",
			existing: []string{"0 z1 10.245.1.9 b"},
			want:     []string{"old0/0 z1 10.245.1.9 *"},
		},
	}
	cloud := parseCloud(t, cloudText)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			plan, err := manifest.Plan(manifest.PlanInput{
				Manifest: group(t, cloud, c.group), Cloud: cloud, Existing: existing(t, c.existing...), Taken: c.taken, NewID: ids(),
			})
			if err != nil {
				t.Fatal(err)
			}
			got, obsolete := summary(plan)
			if !reflect.DeepEqual(got, c.want) || !reflect.DeepEqual(obsolete, c.obsolete) {
				t.Errorf("got  %q, obsolete %q\nwant %q, obsolete %q", got, obsolete, c.want, c.obsolete)
			}
		})
	}
}

func TestPlanFaults(t *testing.T) {
	cases := map[string]struct {
		group    string
		existing []string
		taken    []manifest.Reservation
		code     int
		want     string
	}{
		"exhausted": {
			group: "instances: 11, networks: [{name: nozone}]",
			code:  130011, want: "Failed to reserve IP for 'web/new10 (9)' for manual network 'nozone': no more available",
		},
		"exhausted in a zone": {
			group: "instances: 2, azs: [z1], networks: [{name: second}]",
			taken: func() (all []manifest.Reservation) {
				for i := 4; i < 14; i++ {
					all = append(all, manifest.Reservation{IP: ip(fmt.Sprintf("10.245.1.%d", i))})
				}
				return all
			}(),
			code: 130011, want: "Failed to reserve IP for 'web/new2 (1)' for manual network 'second': no more available",
		},
		"static ip of another deployment": {
			group: "instances: 1, azs: [z1], networks: [{name: default, static_ips: [10.244.0.10]}]",
			taken: []manifest.Reservation{{IP: ip("10.244.0.10"), Deployment: "other", Instance: "db/x"}},
			code:  130008, want: "Failed to reserve IP '10.244.0.10' for instance 'web/new1 (0)': already reserved by instance 'db/x' from deployment 'other'",
		},
		"static ip of nobody known": {
			group: "instances: 1, azs: [z1], networks: [{name: default, static_ips: [10.244.0.10]}]",
			taken: []manifest.Reservation{{IP: ip("10.244.0.10")}},
			code:  130008, want: "Failed to reserve IP '10.244.0.10' for instance 'web/new1 (0)': already reserved by orphaned instance",
		},
		"static ip in another zone": {
			group:    "instances: 1, azs: [z2], networks: [{name: default, static_ips: [10.244.0.10]}]",
			existing: []string{"0 z1 10.244.0.10"},
			code:     130010, want: "Existing instance 'web/0' is using IP '10.244.0.10' in availability zone 'z1'",
		},
		"static ip out of the group's zones": {
			group: "instances: 1, azs: [z1], networks: [{name: second, static_ips: [10.245.2.2]}]",
			code:  150007, want: "Instance group 'web' declares static ip '10.245.2.2' which does not belong to any of the instance group's availability zones.",
		},
		"static ips that do not go together": {
			group: "instances: 2, azs: [z1, z2], networks: [{name: default, default: [dns, gateway], static_ips: [10.244.0.10, 10.244.0.11]}, {name: second, static_ips: [10.245.1.2, 10.245.2.2]}]",
			existing: []string{
				"0 z1 10.244.0.10", "1 z1 10.244.0.11",
			},
			code: 130010, want: "Failed to distribute static IPs to satisfy existing instance reservations",
		},
		"ignored ones cannot go": {
			group:    "instances: 0, azs: [z1], networks: [{name: default}]",
			existing: []string{"0 z1 10.244.0.31 i"},
			code:     190020, want: "Instance Group 'web' has 1 ignored instance(s). 0 instance(s) of that instance group were requested. Deleting ignored instances is not allowed.",
		},
		"ignored ones' zone": {
			group:    "instances: 1, azs: [z2], networks: [{name: default}]",
			existing: []string{"0 z1 10.244.0.31 i"},
			code:     190020, want: `Instance Group 'web' no longer contains AZs ["z1"] where ignored instance(s) exist.`,
		},
		"ignored ones' networks": {
			group:    "instances: 1, azs: [z1], networks: [{name: second}]",
			existing: []string{"0 z1 10.244.0.31 i"},
			code:     190020, want: "In instance group 'web', which contains ignored vms, an attempt was made to modify the networks. This operation is not allowed.",
		},
	}
	cloud := parseCloud(t, cloudText)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := manifest.Plan(manifest.PlanInput{
				Manifest: group(t, cloud, c.group), Cloud: cloud, Existing: existing(t, c.existing...), Taken: c.taken, NewID: ids(),
			})
			wantFault(t, err, c.code, c.want)
		})
	}
}

func TestPlanOfRemovedAndMigratedGroups(t *testing.T) {
	cloud := parseCloud(t, cloudText)
	m := group(t, cloud, "instances: 2, azs: [z1], networks: [{name: default}], migrated_from: [{name: old, az: z1}]")
	olds := existing(t, "0 - 10.244.0.40 bd", "1 - 10.244.0.41 d")
	for i := range olds {
		olds[i].Group = "old"
	}
	gone := existing(t, "5 z1 10.244.0.50")
	gone[0].Group = "gone"
	plan, err := manifest.Plan(manifest.PlanInput{Manifest: m, Cloud: cloud, Existing: append(olds, gone...), NewID: ids()})
	if err != nil {
		t.Fatal(err)
	}
	got, obsolete := summary(plan)
	if want := []string{"old0/0 z1 10.244.0.40 *", "old1/1 z1 10.244.0.41"}; !reflect.DeepEqual(got, want) || !reflect.DeepEqual(obsolete, []string{"old5"}) {
		t.Errorf("got %q, obsolete %q", got, obsolete)
	}
	if i := plan.Groups[0].Instances[0]; i.WasGroup != "old" || i.Group != "web" || i.New {
		t.Errorf("got %+v", i)
	}

	gone[0].Ignore = true
	_, err = manifest.Plan(manifest.PlanInput{Manifest: m, Cloud: cloud, Existing: gone, NewID: ids()})
	wantFault(t, err, 190021, "You are trying to delete instance group 'gone', which contains ignored instance(s). Operation not allowed.")

	olds[0].AZ = "z2"
	_, err = manifest.Plan(manifest.PlanInput{Manifest: m, Cloud: cloud, Existing: olds, NewID: ids()})
	wantFault(t, err, 190018, "Failed to migrate instance group 'old' to 'web', 'old' belongs to availability zone 'z2' and manifest specifies 'z1'")
}

func TestPlanCarriesWhatVMsNeed(t *testing.T) {
	cloud := parseCloud(t, cloudText)
	plan, err := manifest.Plan(manifest.PlanInput{Manifest: group(t, cloud, "instances: 1, azs: [z2], networks: [{name: default}]"), Cloud: cloud, NewID: ids()})
	if err != nil {
		t.Fatal(err)
	}
	g, _ := plan.Group("web")
	i := g.Instances[0]
	n := i.Networks[0]
	if i.VM.MemoryMiB != 300 || n.Gateway != ip("10.244.0.1") || n.Prefix.String() != "10.244.0.0/24" || n.Netmask() != "255.255.255.0" || len(n.DNS) != 1 || n.Static {
		t.Errorf("got %+v", i)
	}
	if i.Address() != n.IP {
		t.Errorf("got address %s, want %s", i.Address(), n.IP)
	}
}

func TestCompilationNetwork(t *testing.T) {
	cloud := parseCloud(t, cloudText)
	n, err := manifest.CompilationNetwork(cloud, []manifest.Reservation{{IP: ip("10.244.0.31")}})
	if err != nil || n.IP != ip("10.244.0.32") || n.Network != "default" {
		t.Errorf("got %+v, %v", n, err)
	}
	var all []manifest.Reservation
	for i := range 256 {
		all = append(all, manifest.Reservation{IP: netip.AddrFrom4([4]byte{10, 244, 0, byte(i)})})
	}
	_, err = manifest.CompilationNetwork(cloud, all)
	wantFault(t, err, 130011, "Failed to reserve IP for 'compilation' for manual network 'default': no more available")
}
