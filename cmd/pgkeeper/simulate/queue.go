package main

// event is something that happens at one node (or nowhere in particular) at a
// virtual time. It is dropped when the machine, or the process it belongs to,
// is not the one any more for which it was meant, and waits while that is frozen.
type event struct {
	at   int64
	seq  uint64
	node *node
	vm   uint32 // boot of the machine
	proc uint32 // start of the lane's process; 0: any
	lane lane
	fn   func()
}

// lane is the process on a node that an event belongs to: events of one lane keep their
// order when the machine thaws, lanes run in any order.
type lane uint8

const (
	laneWorld lane = iota
	laneServer
	laneGuard
	laneKeeper
	lanes
)

// queue is a heap of events by time, then by order of arrival.
type queue struct {
	heap []event
	seq  uint64
}

func (q *queue) before(i, j int) bool {
	if q.heap[i].at != q.heap[j].at {
		return q.heap[i].at < q.heap[j].at
	}
	return q.heap[i].seq < q.heap[j].seq
}

func (q *queue) push(e event) {
	q.seq++
	e.seq = q.seq
	q.heap = append(q.heap, e)
	i := len(q.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !q.before(i, parent) {
			break
		}
		q.heap[i], q.heap[parent] = q.heap[parent], q.heap[i]
		i = parent
	}
}

func (q *queue) pop() event {
	top := q.heap[0]
	last := len(q.heap) - 1
	q.heap[0] = q.heap[last]
	q.heap[last] = event{}
	q.heap = q.heap[:last]
	i := 0
	for {
		child := 2*i + 1
		if child >= last {
			return top
		}
		if child+1 < last && q.before(child+1, child) {
			child++
		}
		if !q.before(child, i) {
			return top
		}
		q.heap[i], q.heap[child] = q.heap[child], q.heap[i]
		i = child
	}
}
