package bosh

import (
	"slices"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer"
)

var epoch = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// made is a task in a state; it started at epoch and ended a second later.
func made(id int, state string) task {
	t := task{ID: id, State: state, Description: "create deployment", StartedAt: epoch}
	if state == "queued" {
		t.StartedAt = time.Time{}
	}
	if !t.unfinished() {
		t.EndedAt = epoch.Add(time.Second)
	}
	return t
}

func removing(id int, state string) task {
	t := made(id, state)
	t.Description = "delete deployment d"
	return t
}

func heldOff(t task) task {
	t.State, t.Result = "error", "Failed to acquire lock for lock:deployment:d uid: 947bc65c. Locking task id is 14, description:..."
	return t
}

func startedAt(t task, at time.Time) *task {
	t.StartedAt = at
	return &t
}

type outcome struct {
	step   step
	state  deployer.State
	task   int
	cancel []int
}

func outcomeOf(d decision) outcome {
	o := outcome{step: d.step, state: d.state}
	if d.task != nil {
		o.task = d.task.ID
	}
	for _, t := range d.cancel {
		o.cancel = append(o.cancel, t.ID)
	}
	return o
}

func (o outcome) same(p outcome) bool {
	return o.step == p.step && o.state == p.state && o.task == p.task && slices.Equal(o.cancel, p.cancel)
}

func TestDecideDeploy(t *testing.T) {
	for name, c := range map[string]struct {
		observed observed
		want     outcome
	}{
		"nothing yet":                      {observed{}, outcome{submit, deployer.Waiting, 0, nil}},
		"queued":                           {observed{own: []task{made(1, "queued")}}, outcome{report, deployer.Queued, 1, nil}},
		"running":                          {observed{own: []task{made(1, "processing")}}, outcome{report, deployer.Running, 1, nil}},
		"being cancelled":                  {observed{own: []task{made(1, "cancelling")}}, outcome{report, deployer.Running, 1, nil}},
		"done":                             {observed{own: []task{made(1, "done")}}, outcome{report, deployer.Succeeded, 1, nil}},
		"failed":                           {observed{own: []task{made(1, "error")}}, outcome{report, deployer.Failed, 1, nil}},
		"cancelled":                        {observed{own: []task{made(1, "cancelled")}}, outcome{report, deployer.Failed, 1, nil}},
		"timed out":                        {observed{own: []task{made(1, "timeout")}}, outcome{report, deployer.Failed, 1, nil}},
		"others hold it":                   {observed{others: []task{made(7, "processing")}}, outcome{wait, deployer.Waiting, 0, nil}},
		"in doubt":                         {observed{unsettled: true}, outcome{wait, deployer.Waiting, 0, nil}},
		"in doubt but seen":                {observed{unsettled: true, own: []task{made(1, "queued")}}, outcome{report, deployer.Queued, 1, nil}},
		"submitted five times":             {observed{own: []task{made(1, "processing"), made(2, "processing"), made(3, "queued"), made(4, "queued"), made(5, "queued")}}, outcome{report, deployer.Running, 1, nil}},
		"a worker has the second":          {observed{own: []task{made(1, "queued"), made(2, "processing")}}, outcome{report, deployer.Running, 2, nil}},
		"the first done, the second waits": {observed{own: []task{made(1, "done"), made(2, "queued")}}, outcome{report, deployer.Queued, 2, nil}},
		"the second was held off":          {observed{own: []task{made(1, "done"), heldOff(made(2, ""))}}, outcome{report, deployer.Succeeded, 1, nil}},
		"the first was held off":           {observed{own: []task{heldOff(made(1, "")), made(2, "done")}}, outcome{report, deployer.Succeeded, 2, nil}},
		"failed, then held off":            {observed{own: []task{made(1, "error"), heldOff(made(2, ""))}}, outcome{report, deployer.Failed, 1, nil}},
		"held off by another operation":    {observed{own: []task{heldOff(made(1, ""))}}, outcome{submit, deployer.Waiting, 0, nil}},
		"held off by one that still runs":  {observed{own: []task{heldOff(made(1, ""))}, others: []task{made(9, "processing")}}, outcome{wait, deployer.Waiting, 0, nil}},
		"done, and the next operation runs": {observed{own: []task{made(1, "done")}, others: []task{made(9, "processing")}},
			outcome{report, deployer.Succeeded, 1, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := outcomeOf(decideDeploy(c.observed)); !got.same(c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestDecideDelete(t *testing.T) {
	for name, c := range map[string]struct {
		observed observed
		want     outcome
	}{
		"nothing there":                    {observed{}, outcome{report, deployer.Succeeded, 0, nil}},
		"nothing there yet, in doubt":      {observed{unsettled: true}, outcome{wait, deployer.Waiting, 0, nil}},
		"there":                            {observed{exists: true}, outcome{submit, deployer.Waiting, 0, nil}},
		"there, in doubt":                  {observed{exists: true, unsettled: true}, outcome{wait, deployer.Waiting, 0, nil}},
		"queued":                           {observed{exists: true, own: []task{removing(1, "queued")}}, outcome{report, deployer.Queued, 1, nil}},
		"running":                          {observed{exists: true, own: []task{removing(1, "processing")}}, outcome{report, deployer.Running, 1, nil}},
		"done":                             {observed{own: []task{removing(1, "done")}}, outcome{report, deployer.Succeeded, 1, nil}},
		"a deploy runs":                    {observed{exists: true, others: []task{made(7, "processing")}}, outcome{cancelOther, deployer.Waiting, 0, []int{7}}},
		"deploys run and wait":             {observed{others: []task{made(7, "processing"), made(8, "queued")}}, outcome{cancelOther, deployer.Waiting, 0, []int{7, 8}}},
		"a deploy is being cancelled":      {observed{exists: true, others: []task{made(7, "cancelling")}}, outcome{wait, deployer.Waiting, 0, nil}},
		"another delete runs":              {observed{exists: true, others: []task{removing(7, "processing")}}, outcome{wait, deployer.Waiting, 0, nil}},
		"a deploy came up while it runs":   {observed{exists: true, own: []task{removing(1, "processing")}, others: []task{made(7, "queued")}}, outcome{cancelOther, deployer.Running, 1, []int{7}}},
		"done, and a deploy came up":       {observed{own: []task{removing(1, "done")}, others: []task{made(7, "queued")}}, outcome{cancelOther, deployer.Waiting, 0, []int{7}}},
		"done, and a late deploy was done": {observed{exists: true, own: []task{removing(1, "done")}, reborn: startedAt(made(7, "done"), epoch.Add(5*time.Second))}, outcome{submit, deployer.Waiting, 0, nil}},
		"done, and made anew later":        {observed{exists: true, own: []task{removing(1, "done")}, reborn: startedAt(made(7, "done"), epoch.Add(time.Hour))}, outcome{report, deployer.Succeeded, 1, nil}},
		"done twice":                       {observed{own: []task{removing(1, "done"), removing(8, "done")}}, outcome{report, deployer.Succeeded, 8, nil}},
		"failed":                           {observed{exists: true, own: []task{removing(1, "error")}}, outcome{submitForce, deployer.Waiting, 0, nil}},
		"failed by force as well":          {observed{exists: true, own: []task{removing(1, "error"), removing(2, "error")}}, outcome{report, deployer.Failed, 2, nil}},
		"failed, but it is gone":           {observed{own: []task{removing(1, "error")}}, outcome{report, deployer.Succeeded, 1, nil}},
		"held off":                         {observed{exists: true, own: []task{heldOff(removing(1, ""))}}, outcome{submit, deployer.Waiting, 0, nil}},
		"held off, then failed":            {observed{exists: true, own: []task{heldOff(removing(1, "")), removing(2, "error")}}, outcome{submitForce, deployer.Waiting, 0, nil}},
		"failed, done, came up, failed":    {observed{exists: true, own: []task{removing(1, "error"), removing(2, "done"), removing(3, "error")}}, outcome{submitForce, deployer.Waiting, 0, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := outcomeOf(decideDelete(c.observed)); !got.same(c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// TestDecisionsNeverSubmitBesideWork tries all small combinations of tasks:
// while anything unfinished is seen, nothing is submitted.
func TestDecisionsNeverSubmitBesideWork(t *testing.T) {
	states := []string{"queued", "processing", "cancelling", "done", "error", "cancelled"}
	sets := [][]string{{}}
	for _, a := range states {
		sets = append(sets, []string{a})
		for _, b := range states {
			sets = append(sets, []string{a, b})
		}
	}
	build := func(set []string, first int, make func(int, string) task, unfinishedOnly bool) []task {
		var tasks []task
		for i, state := range set {
			if k := make(first+i, state); !unfinishedOnly || k.unfinished() {
				tasks = append(tasks, k)
			}
		}
		return tasks
	}
	busy := func(tasks []task) bool { return slices.ContainsFunc(tasks, task.unfinished) }
	for _, own := range sets {
		for _, other := range sets {
			for _, flags := range []int{0, 1, 2, 3} {
				for _, otherKind := range []func(int, string) task{made, removing} {
					others := build(other, 10, otherKind, true)
					deploy := observed{own: build(own, 1, made, false), others: others, unsettled: flags&1 != 0}
					remove := observed{own: build(own, 1, removing, false), others: others, exists: flags&2 != 0, unsettled: flags&1 != 0}
					if d := decideDeploy(deploy); d.step == submit && (busy(deploy.own) || len(others) > 0 || deploy.unsettled) {
						t.Errorf("deploy %v beside %v: %+v", own, other, d)
					}
					d := decideDelete(remove)
					if (d.step == submit || d.step == submitForce) && (busy(remove.own) || len(others) > 0 || !remove.exists || remove.unsettled) {
						t.Errorf("delete %v beside %v: %+v", own, other, d)
					}
					if d.state == deployer.Succeeded && (busy(remove.own) || len(others) > 0 || remove.exists || remove.unsettled) {
						t.Errorf("delete %v beside %v has succeeded: %+v", own, other, d)
					}
				}
			}
		}
	}
}
