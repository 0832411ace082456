package broker_test

import (
	"net/http"
	"sync"
	"testing"
	"time"
)

// Fifty provisions at once: each gets its deployment, and nobody waits for
// another's.
func TestFiftyProvisionsAtOnce(t *testing.T) {
	h := start(t)
	const n, task = 50, time.Second
	h.director.Takes(task)
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			got := h.do("PUT", instancePath(uuid(i))+async, provisionBody(nil))
			if got.status != http.StatusAccepted {
				t.Errorf("got %d %s", got.status, got.raw)
			}
		})
	}
	wg.Wait()
	h.eventually("all are done", func() bool {
		for i := range n {
			if h.do("GET", instancePath(uuid(i)), nil).status != http.StatusOK {
				return false
			}
		}
		return true
	})
	took := time.Since(begin)
	t.Logf("%d provisions with tasks of %s took %s", n, task, took)
	if took > 15*task {
		t.Errorf("they took %s: they wait for each other", took)
	}
	if names := h.director.Names(); len(names) != n {
		t.Errorf("%d deployments, want %d", len(names), n)
	}
	for i := range n {
		if tasks := h.director.Tasks(h.instance(uuid(i)).Deployment); len(tasks) != 1 {
			t.Errorf("instance %d has %d tasks", i, len(tasks))
		}
	}
}

// What the broker adds to the director's task and the service's own work.
func TestOverheadOfAProvision(t *testing.T) {
	h := start(t)
	const task = 2 * time.Second
	h.director.Takes(task)
	begin := time.Now()
	h.provision("i1", nil)
	overhead := time.Since(begin) - task
	t.Logf("a provision costs %s beside the director's task", overhead)
	if overhead > time.Second {
		t.Errorf("a provision costs %s beside the director's task, want less than 1s", overhead)
	}
}
