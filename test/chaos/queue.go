package chaos

import (
	"slices"
	"sync"
	"time"

	"github.com/holdfast-osb/holdfast/test/chaos/fault"
	"github.com/holdfast-osb/holdfast/test/chaos/report"
)

// Job is one run that is still to be made.
type Job struct {
	Fault  fault.Fault
	Number int
	tries  int
}

// Work is what a lane does next: a job on a cluster of a setup, or only to have
// such a cluster.
type Work struct {
	Setup report.Setup
	Job   *Job
	Round *Round // of a fault that strikes all clusters; nil: one of this cluster only
}

// maxTries is how often a job is begun that ends without a result.
const maxTries = 2

// worthALane is how many jobs each lane of a setup must have before it is given
// another lane, which has to make a cluster first.
const worthALane = 3

// Queue hands out jobs to lanes. A lane has one cluster and keeps to its setup
// while that has jobs. Faults of what all clusters share wait until no lane has
// anything else to do in this phase, and then strike those clusters together.
type Queue struct {
	mu      sync.Mutex
	changed *sync.Cond
	orders  []Order
	phase   int
	pending map[report.Setup][]Job
	lanes   map[int]*place
	last    time.Time // no job begins after it; zero: no such limit
}

// place is what is known of a lane.
type place struct {
	setup   report.Setup
	waiting bool
	given   *Work
}

// NewQueue makes the queue of what the orders leave to do, for so many lanes.
// Runs that are done are not made again; rarer runs of every fault come first.
func NewQueue(orders []Order, done []report.Run, lanes int, last time.Time) *Queue {
	q := &Queue{orders: orders, pending: map[report.Setup][]Job{}, lanes: map[int]*place{}, last: last}
	q.changed = sync.NewCond(&q.mu)
	for _, o := range orders {
		var jobs []Job
		for _, count := range o.Counts {
			for n := report.Done(done, o.Setup, count.Fault.Name) + 1; n <= count.Runs; n++ {
				jobs = append(jobs, Job{Fault: count.Fault, Number: n})
			}
		}
		slices.SortStableFunc(jobs, func(a, b Job) int { return a.Number - b.Number })
		q.pending[o.Setup] = jobs
	}
	for i := range lanes {
		q.lanes[i] = &place{}
	}
	return q
}

// Left counts the jobs that nobody has begun.
func (q *Queue) Left() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := 0
	for _, jobs := range q.pending {
		left += len(jobs)
	}
	return left
}

// Drop takes the jobs away that a setup's clusters cannot suffer.
func (q *Queue) Drop(setup report.Setup, unfit func(fault.Fault) bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending[setup] = slices.DeleteFunc(q.pending[setup], func(j Job) bool { return unfit(j.Fault) })
}

// Again takes a job back that had no result, and tells whether it will be tried
// once more.
func (q *Queue) Again(setup report.Setup, job Job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	job.tries++
	if job.tries < maxTries {
		q.pending[setup] = append(q.pending[setup], job)
		q.changed.Broadcast()
	}
	return job.tries < maxTries
}

// Leave takes a lane out: nobody waits for it any more.
func (q *Queue) Leave(lane int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.lanes, lane)
	q.changed.Broadcast()
}

// Next returns what a lane does next, which may take until the others are
// ready for it; false: nothing is left.
func (q *Queue) Next(lane int) (Work, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.lanes[lane]
	for {
		if p.given == nil && !q.late() {
			p.given = q.ordinary(p)
		}
		if p.given == nil {
			p.waiting = true
			if q.allWait() {
				if q.late() || !q.together(p) && !q.advance() {
					q.changed.Broadcast() // so that the others see it too
					return Work{}, false
				}
				if p.given == nil {
					continue
				}
			}
		}
		if work := p.given; work != nil {
			p.setup, p.waiting, p.given = work.Setup, false, nil
			return *work, true
		}
		q.changed.Wait()
	}
}

func (q *Queue) late() bool { return !q.last.IsZero() && time.Now().After(q.last) }

// advance begins the next phase that has anything to do.
func (q *Queue) advance() bool {
	for _, o := range q.orders {
		if o.Phase > q.phase && len(q.pending[o.Setup]) > 0 {
			q.phase = o.Phase
			q.changed.Broadcast()
			return true
		}
	}
	return false
}

// setups are those of this phase.
func (q *Queue) setups() []report.Setup {
	var now []report.Setup
	for _, o := range q.orders {
		if o.Phase == q.phase {
			now = append(now, o.Setup)
		}
	}
	return now
}

// ordinary finds a job that strikes one cluster: of the lane's own setup, or of
// the one that has most to do for each of its lanes.
func (q *Queue) ordinary(p *place) *Work {
	setups := q.setups()
	if slices.Contains(setups, p.setup) {
		if job := q.take(p.setup, func(j Job) bool { return j.Fault.Shared == nil }); job != nil {
			return &Work{Setup: p.setup, Job: job}
		}
	}
	most, chosen := 0, -1
	for i, setup := range setups {
		jobs, lanes := 0, 0
		for _, j := range q.pending[setup] {
			if j.Fault.Shared == nil {
				jobs++
			}
		}
		for _, other := range q.lanes {
			if other != p && other.setup == setup && !other.waiting {
				lanes++
			}
		}
		if each := jobs / (lanes + 1); each > most && (lanes == 0 || jobs > worthALane*lanes) {
			most, chosen = each, i
		}
	}
	if chosen < 0 {
		return nil
	}
	return &Work{Setup: setups[chosen], Job: q.take(setups[chosen], func(j Job) bool { return j.Fault.Shared == nil })}
}

// take removes the first job of a setup that fits.
func (q *Queue) take(setup report.Setup, fits func(Job) bool) *Job {
	i := slices.IndexFunc(q.pending[setup], fits)
	if i < 0 {
		return nil
	}
	job := q.pending[setup][i]
	q.pending[setup] = slices.Delete(q.pending[setup], i, i+1)
	return &job
}

func (q *Queue) allWait() bool {
	for _, p := range q.lanes {
		if !p.waiting || p.given != nil {
			return false
		}
	}
	return true
}

// together gives a fault that strikes all clusters to every waiting lane that
// has it to do; a lane whose own setup has none left may have to change it.
func (q *Queue) together(p *place) bool {
	for _, setup := range q.setups() {
		if len(q.pending[setup]) == 0 {
			continue
		}
		if !q.stands(setup) {
			p.given = &Work{Setup: setup}
			return true
		}
		name, round := q.pending[setup][0].Fault.Name, &Round{}
		for _, lane := range q.lanes {
			if job := q.take(lane.setup, func(j Job) bool { return j.Fault.Name == name }); job != nil {
				round.members++
				lane.given, lane.waiting = &Work{Setup: lane.setup, Job: job, Round: round}, false
			}
		}
		q.changed.Broadcast()
		return true
	}
	return false
}

func (q *Queue) stands(setup report.Setup) bool {
	for _, p := range q.lanes {
		if p.setup == setup {
			return true
		}
	}
	return false
}
