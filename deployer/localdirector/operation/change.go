package operation

import (
	"bytes"
	"slices"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
)

// change is a reason to touch an instance, by the name that the director's
// events and debug logs give it.
type change string

// The reasons. Those above the line need a new VM.
const (
	changeRecreate        change = "recreate"
	changeCloudProperties change = "cloud_properties"
	changeStemcell        change = "stemcell"
	changeEnv             change = "env"
	changeNetwork         change = "network"
	// ---
	changeDirty          change = "dirty" // an earlier update did not end
	changeRestart        change = "restart"
	changeRecreateDisks  change = "recreate_persistent_disks"
	changePackages       change = "packages"
	changePersistentDisk change = "persistent_disk"
	changeConfiguration  change = "configuration"
	changeJob            change = "job"
	changeState          change = "state"
)

// The states an agent reports for its jobs, and what the director calls an
// agent that reports nothing.
const (
	jobsRunning       = "running"
	agentUnresponsive = "unresponsive agent"
)

// observed is what is known of an existing instance when a task begins.
type observed struct {
	row      db.Instance
	spec     *spec   // last given; nil when it never was
	disk     db.Disk // the active one; CID "" when there is none
	jobState string  // as its agent reports, agentUnresponsive, or "" without a VM
	vmGone   bool    // the row names a VM that is dead
}

// hasVM tells whether the instance has a VM that is not known to be dead.
func (o observed) hasVM() bool { return o.row.VM != nil && !o.vmGone }

// wanted is what a task wants of an instance.
type wanted struct {
	group         string
	spec          spec
	disk          *diskSpec // nil for none
	state         string    // started, stopped or detached
	restart       bool
	recreate      bool
	recreateDisks bool
}

// changes lists why the instance must be touched, ordered as the director
// does; none means it is left alone.
func changes(is observed, want wanted) []change {
	var out []change
	add := func(c change, when bool) {
		if when {
			out = append(out, c)
		}
	}
	was := is.spec
	if was == nil {
		was = &spec{}
	}
	add(changeDirty, !is.row.UpdateCompleted)
	add(changeRestart, want.restart)
	add(changeRecreate, want.recreate || is.jobState == agentUnresponsive)
	add(changeRecreateDisks, want.recreateDisks && is.disk.CID != "")
	if is.spec != nil {
		add(changeCloudProperties, was.Machine.Properties != want.spec.Machine.Properties)
		add(changeStemcell, was.Machine.Stemcell != want.spec.Machine.Stemcell)
		add(changeEnv, !bytes.Equal(was.Machine.Env, want.spec.Machine.Env))
		add(changeNetwork, !sameNetworks(was.Machine.Networks, want.spec.Machine.Networks))
	}
	add(changePackages, !samePackages(was.Packages, want.spec.Packages))
	add(changePersistentDisk, diskDiffers(is.disk, want.disk))
	add(changeConfiguration, was.Templates.ConfigurationHash != want.spec.Templates.ConfigurationHash)
	add(changeJob, is.row.Group != want.group || !slices.Equal(was.Jobs, want.spec.Jobs))
	add(changeState, stateDiffers(is, want.state))
	return out
}

// needsNewVM tells whether the changes cannot be made in the VM there is.
func needsNewVM(changes []change) bool {
	return slices.ContainsFunc(changes, func(c change) bool {
		switch c {
		case changeRecreate, changeCloudProperties, changeStemcell, changeEnv, changeNetwork:
			return true
		}
		return false
	})
}

// stateDiffers tells whether the jobs do not do what they should. A stopped
// instance whose jobs fail, and so do not run, is as it should be, but it
// should have a VM.
func stateDiffers(is observed, state string) bool {
	switch state {
	case db.StateStarted:
		return is.jobState != jobsRunning
	case db.StateStopped:
		return is.row.State != state || is.jobState == jobsRunning || !is.hasVM()
	default:
		return is.row.State != state || is.row.VM != nil
	}
}

func diskDiffers(is db.Disk, want *diskSpec) bool {
	if want == nil || is.CID == "" {
		return (want != nil) != (is.CID != "")
	}
	return is.SizeMiB != want.SizeMiB || !bytes.Equal(is.CloudProperties, want.Properties)
}

func samePackages(a, b []packageRef) bool {
	return slices.EqualFunc(a, b, func(a, b packageRef) bool {
		return a.Name == b.Name && a.Version == b.Version && a.Key == b.Key
	})
}

func sameNetworks(a, b []networkSpec) bool {
	return slices.EqualFunc(a, b, func(a, b networkSpec) bool {
		return a.Name == b.Name && a.IP == b.IP && a.Prefix == b.Prefix && a.Gateway == b.Gateway &&
			slices.Equal(a.DNS, b.DNS) && slices.Equal(a.Default, b.Default)
	})
}
