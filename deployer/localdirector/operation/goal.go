package operation

import (
	"strings"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
)

// goal is what a task wants beyond what the manifest says.
type goal struct {
	deployment string
	document   *manifest.Document
	// cloudIDs are the cloud configs to plan with.
	cloudIDs []int64
	// generate makes the values of variables that have none yet.
	generate      bool
	recreate      bool
	recreateDisks bool
	fix           bool
	dryRun        bool
	skipDrain     skipDrain
	options       manifest.Options
	// state is what the task asks of an instance: a state of instances,
	// "restart", "recreate", or "" for nothing. Nil asks nothing of any.
	state func(row db.Instance) string
}

// want is what an instance of the row shall be, as far as the task says.
func (g goal) want(row db.Instance) wanted {
	w := wanted{state: row.State, recreate: g.recreate, recreateDisks: g.recreateDisks}
	asked := ""
	if g.state != nil {
		asked = g.state(row)
	}
	switch asked {
	case "":
	case actionRestart:
		w.state, w.restart = db.StateStarted, true
	case actionRecreate:
		w.state, w.recreate = db.StateStarted, true
	default:
		w.state = asked
	}
	return w
}

// skipDrain says which groups are not drained: "*", or names joined by commas.
type skipDrain string

func (s skipDrain) of(group string) bool {
	for _, name := range strings.Split(string(s), ",") {
		if name == "*" || (name != "" && name == group) {
			return true
		}
	}
	return false
}
