package operation

import (
	"context"
	"fmt"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
)

// plan is what a task wants of a whole deployment, beside what there is.
type plan struct {
	deployment db.Deployment
	resolved   *manifest.Document // "latest" is replaced, placeholders are not
	manifest   *manifest.Manifest
	cloud      *manifest.CloudConfig
	cloudIDs   []int64
	releases   map[string]*release.Release // by name
	groups     []*groupPlan                // in the manifest's order
	obsolete   []*observed                 // of groups that are no longer there
	links      *manifest.DeploymentLinks
	needs      requirements
	secrets    []string
	skipDrain  skipDrain
	// release gives back the addresses that are held for the plan.
	release func()
}

// groupPlan is an instance group with its instances.
type groupPlan struct {
	*manifest.InstanceGroup
	stemcell  db.Stemcell
	jobs      []plannedJob
	packages  []packageRef
	disk      *diskSpec
	instances []*instancePlan
	obsolete  []*observed // scaled away
	skipDrain skipDrain
	changed   bool // an instance was touched or removed
}

// plannedJob is a job of a group with its release.
type plannedJob struct {
	manifest.Job
	release *release.Release
	spec    release.Job
}

// instancePlan is one instance: what there is, and what is wanted.
type instancePlan struct {
	planned manifest.Instance
	is      observed
	want    wanted
	// row is the instance's row as it is now: whoever changes it saves it.
	row       db.Instance
	changes   []change
	skipDrain bool
	// wasComplete tells whether the last update came to its end.
	wasComplete bool
	// fresh is set once this task has given the instance a new VM.
	fresh bool
	// templates is the archive that belongs to the wanted spec.
	templates []byte
	blobs     *uploaded // on the VM, for the wanted spec
}

// missingVM tells whether the instance needs a VM that is not there: none is
// recorded, or the recorded one died.
func (p *instancePlan) missingVM(c machines) bool {
	return p.row.VM == nil || !c.Alive(p.row.VM.CID)
}

// touched lists the instances of the group that are to be updated.
func (g *groupPlan) touched() []*instancePlan {
	var out []*instancePlan
	for _, p := range g.instances {
		if !p.row.Ignore && len(p.changes) > 0 {
			out = append(out, p)
		}
	}
	return out
}

// observeDeployment reads the rows of a deployment's instances.
func (d *Director) observeDeployment(ctx context.Context, name string) ([]*observed, error) {
	rows, err := d.db.Instances(ctx, name)
	if err != nil {
		return nil, err
	}
	out := make([]*observed, 0, len(rows))
	for _, row := range rows {
		s, err := decodeSpec(row.Spec)
		if err != nil {
			return nil, fmt.Errorf("instance %s: %w", row.Name(), err)
		}
		disk, err := d.activeDisk(ctx, row.ID)
		if err != nil {
			return nil, err
		}
		out = append(out, &observed{row: row, spec: s, disk: disk})
	}
	return out, nil
}

// askAgents finds out what the jobs of the instances do. An agent of a running
// VM that does not answer is a fault, unless such VMs are to be recreated.
func (d *Director) askAgents(ctx context.Context, instances []*observed, fix bool) error {
	return inParallel(ctx, d.config.MaxThreads, instances, func(ctx context.Context, o *observed) error {
		if o.row.VM == nil || o.row.Ignore {
			return nil
		}
		if o.vmGone = !d.cloud.Alive(o.row.VM.CID); o.vmGone {
			return nil
		}
		state, err := d.observeAgent(ctx, o.row)
		switch {
		case err == nil:
			o.jobState = state.JobState
		case unreachable(err) && !d.cloud.Alive(o.row.VM.CID):
			o.vmGone = true // while it was asked
		case unreachable(err) && fix:
			o.jobState = agentUnresponsive
		default:
			return agentFault(ctx, o.row, err)
		}
		return nil
	})
}

// existing describes an instance to the planning of instances.
func (o *observed) existing() (manifest.Existing, error) {
	e := manifest.Existing{Group: o.row.Group, ID: o.row.ID, Index: o.row.Index, AZ: o.row.AZ, Bootstrap: o.row.Bootstrap,
		Ignore: o.row.Ignore, HasDisk: o.disk.CID != ""}
	if o.spec != nil {
		for _, n := range o.spec.Machine.Networks {
			e.Addresses = append(e.Addresses, manifest.Address{Network: n.Name, IP: n.IP})
		}
		return e, nil
	}
	networks, err := decodeNetworks(o.row)
	for _, n := range networks {
		e.Addresses = append(e.Addresses, manifest.Address{Network: n.Name, IP: n.IP})
	}
	return e, err
}

// machine is the VM that an instance of the group should have.
func (g *groupPlan) machine(i manifest.Instance) (machineSpec, error) {
	env, err := canonicalJSON(g.Env)
	if err != nil {
		return machineSpec{}, fmt.Errorf("encode the env of instance group %s: %w", g.Name, err)
	}
	return machineSpec{Stemcell: db.NameVersion{Name: g.stemcell.Name, Version: g.stemcell.Version}, VMType: g.VMType,
		Properties: i.VM, Env: env, Networks: networksOf(i.Networks)}, nil
}

// reservations are the addresses of planned instances, to be held until their
// rows have them.
func reservations(p *manifest.DeploymentPlan) []manifest.Reservation {
	var out []manifest.Reservation
	for _, g := range p.Groups {
		for _, i := range g.Instances {
			for _, n := range i.Networks {
				out = append(out, manifest.Reservation{IP: n.IP, Deployment: p.Deployment, Instance: i.Group + "/" + i.ID})
			}
		}
	}
	return out
}

// matches tells whether a filter means an instance: by its group, and by its
// index or ID unless that is empty.
func matches(row db.Instance, group, indexOrID string) bool {
	return (group == "" || row.Group == group) &&
		(indexOrID == "" || row.ID == indexOrID || fmt.Sprint(row.Index) == indexOrID)
}
