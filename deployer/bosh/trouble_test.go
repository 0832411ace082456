package bosh_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/deployer/bosh"
	"github.com/holdfast-osb/holdfast/deployer/bosh/directortest"
	"github.com/holdfast-osb/holdfast/internal/fault"
)

const name, deployID, deleteID = "sample-1", "deploy-0001", "delete-0001"

func settle(d time.Duration) func(*bosh.Config) {
	return func(c *bosh.Config) { c.SettleTime = d }
}

func deploy(ctx context.Context, s deployer.Service, id string) (deployer.Operation, error) {
	in := sampleRequest()
	in.Name, in.OperationID = name, id
	return s.Deploy(ctx, in)
}

// persist repeats a call as the broker does: until its operation has ended,
// whatever is unavailable meanwhile.
func persist(t *testing.T, call func() (deployer.Operation, error)) deployer.Operation {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for {
		op, err := call()
		if err != nil && !fault.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
		if err == nil && op.State.Ended() {
			return op
		}
		if time.Now().After(deadline) {
			t.Fatalf("not ended: %+v, %v", op, err)
		}
		<-time.After(2 * time.Millisecond)
	}
}

func persistDeploy(t *testing.T, s deployer.Service, id string) deployer.Operation {
	t.Helper()
	return persist(t, func() (deployer.Operation, error) { return deploy(t.Context(), s, id) })
}

func persistDelete(t *testing.T, s deployer.Service, id string) deployer.Operation {
	t.Helper()
	return persist(t, func() (deployer.Operation, error) { return s.Delete(t.Context(), name, id) })
}

// wantQuiet waits until no task is unfinished and returns how many of an
// operation's tasks had an effect.
func effective(t *testing.T, fake *directortest.Fake, id string) (effective int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; <-time.After(2 * time.Millisecond) {
		unfinished := 0
		effective = 0
		for _, k := range fake.Tasks() {
			switch {
			case k.State == "queued" || k.State == "processing" || k.State == "cancelling":
				unfinished++
			case k.ContextID == id && k.State == "done":
				effective++
			}
		}
		if unfinished == 0 {
			return effective
		}
		if time.Now().After(deadline) {
			t.Fatalf("tasks do not end: %+v", fake.Tasks())
		}
	}
}

// TestSubmissionsInTrouble breaks the submission of a deploy in every way: it
// ends well, with one task that had an effect and one deployment.
func TestSubmissionsInTrouble(t *testing.T) {
	post := func(trouble directortest.Trouble, delay time.Duration) directortest.Fault {
		return directortest.Fault{Method: http.MethodPost, Path: "/deployments", Trouble: trouble, Delay: delay}
	}
	for label, c := range map[string]struct {
		fault     directortest.Fault
		settle    time.Duration
		posts     int // sent to the director
		effective int // tasks that were done; a second one with the same manifest changes nothing
	}{
		"the answer is lost":                  {post(directortest.LoseAnswer, 0), 5 * time.Second, 1, 1},
		"the answer is lost, and no patience": {post(directortest.LoseAnswer, 0), 0, 1, 1},
		"the request is lost":                 {post(directortest.LoseRequest, 0), 50 * time.Millisecond, 2, 1},
		"the task is late":                    {post(directortest.Late, 100*time.Millisecond), 5 * time.Second, 1, 1},
		"a proxy gives up":                    {post(directortest.BadGateway, 0), 5 * time.Second, 1, 1},
		"the answer is slow":                  {post(directortest.Slow, 2*time.Second), 5 * time.Second, 1, 1},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			fake := directortest.Start(t, directortest.Options{})
			s := newService(t, fake, func(cfg *bosh.Config) { cfg.SettleTime, cfg.RequestTimeout = c.settle, time.Second })
			fake.Inject(c.fault)
			if op := persistDeploy(t, s, deployID); op.State != deployer.Succeeded {
				t.Fatalf("got %+v", op)
			}
			if got := effective(t, fake, deployID); got != c.effective {
				t.Errorf("%d tasks had an effect, want %d: %+v", got, c.effective, fake.Tasks())
			}
			if got := fake.Requests("POST /deployments"); got != c.posts {
				t.Errorf("%d submissions, want %d", got, c.posts)
			}
			if got := fake.Deployments(); len(got) != 1 || got[0] != name {
				t.Errorf("deployments: %v", got)
			}
			if op := persistDelete(t, s, deleteID); op.State != deployer.Succeeded || len(fake.Deployments()) != 0 {
				t.Errorf("delete: got %+v, left %v", op, fake.Deployments())
			}
		})
	}
}

// TestFiveSubmissionsAreHarmless: something in between repeats the request, as
// the library's own transport would.
func TestFiveSubmissionsAreHarmless(t *testing.T) {
	// Long steps: the first holds the lock for longer than the others wait.
	fake := directortest.Start(t, directortest.Options{Step: 10 * time.Millisecond, LockTimeout: 30 * time.Millisecond, Workers: 5})
	s := newService(t, fake, nil)
	fake.Inject(directortest.Fault{Method: http.MethodPost, Path: "/deployments", Trouble: directortest.Repeat})
	if op := persistDeploy(t, s, deployID); op.State != deployer.Succeeded {
		t.Fatalf("got %+v", op)
	}
	if got := effective(t, fake, deployID); got != 1 || len(fake.Tasks()) != 5 {
		t.Errorf("%d of %d tasks had an effect, want 1 of 5", got, len(fake.Tasks()))
	}
	if op := persistDeploy(t, s, deployID); op.State != deployer.Succeeded || len(fake.Tasks()) != 5 {
		t.Errorf("repeated: got %+v with %d tasks", op, len(fake.Tasks()))
	}
	// And a delete right behind five deploys leaves nothing.
	fake.Inject(directortest.Fault{Method: http.MethodPost, Path: "/deployments", Trouble: directortest.Repeat})
	if _, err := deploy(t.Context(), s, "deploy-0002"); err != nil {
		t.Fatal(err)
	}
	if op := persistDelete(t, s, deleteID); op.State != deployer.Succeeded {
		t.Errorf("delete: got %+v", op)
	}
	effective(t, fake, deleteID)
	if left := fake.Deployments(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestDeleteWaitsForALateDeploy: the deploy's answer is lost and its task comes
// up only after the delete was asked for.
func TestDeleteWaitsForALateDeploy(t *testing.T) {
	for label, sameProcess := range map[string]bool{"in one process": true, "after a restart of ours": false} {
		t.Run(label, func(t *testing.T) {
			fake := directortest.Start(t, directortest.Options{})
			s := newService(t, fake, settle(500*time.Millisecond))
			fake.Inject(directortest.Fault{Method: http.MethodPost, Path: "/deployments", Trouble: directortest.Late, Delay: 100 * time.Millisecond})
			if _, err := deploy(t.Context(), s, deployID); !fault.Is(err, fault.Unavailable) {
				t.Fatalf("got %v, want it unavailable", err)
			}
			if !sameProcess {
				s = newService(t, fake, settle(500*time.Millisecond))
			}
			op, err := s.Delete(t.Context(), name, deleteID)
			if err != nil || op.State != deployer.Waiting {
				t.Errorf("first call: got %+v, %v, want it waiting", op, err)
			}
			if op := persistDelete(t, s, deleteID); op.State != deployer.Succeeded {
				t.Errorf("got %+v", op)
			}
			if len(fake.Tasks()) < 1 || len(fake.Deployments()) != 0 {
				t.Errorf("tasks %+v, left %v", fake.Tasks(), fake.Deployments())
			}
		})
	}
}

// TestDeleteLooksAgain: a deploy comes up between the end of the delete's task
// and the next call.
func TestDeleteLooksAgain(t *testing.T) {
	fake := directortest.Start(t, directortest.Options{})
	s := newService(t, fake, nil)
	persistDeploy(t, s, deployID)
	if _, err := s.Delete(t.Context(), name, deleteID); err != nil {
		t.Fatal(err)
	}
	effective(t, fake, deleteID)
	fake.Submit("create deployment", name, fake.Manifest(name)+"name: "+name+"\ninstance_groups: []\n")
	effective(t, fake, deleteID)
	op, err := s.Operation(t.Context(), name, deleteID)
	if err != nil || op.State != deployer.Waiting {
		t.Errorf("with a deployment that came up: got %+v, %v, want it waiting", op, err)
	}
	if op := persistDelete(t, s, deleteID); op.State != deployer.Succeeded || len(fake.Deployments()) != 0 {
		t.Errorf("got %+v, left %v", op, fake.Deployments())
	}
}

func TestDeleteInTrouble(t *testing.T) {
	for label, trouble := range map[string]directortest.Trouble{"answer lost": directortest.LoseAnswer, "request lost": directortest.LoseRequest,
		"late": directortest.Late, "repeated": directortest.Repeat, "proxy": directortest.BadGateway} {
		t.Run(label, func(t *testing.T) {
			fake := directortest.Start(t, directortest.Options{})
			s := newService(t, fake, settle(50*time.Millisecond))
			persistDeploy(t, s, deployID)
			fake.Inject(directortest.Fault{Method: http.MethodDelete, Path: "/deployments/", Trouble: trouble, Delay: 100 * time.Millisecond})
			if op := persistDelete(t, s, deleteID); op.State != deployer.Succeeded {
				t.Errorf("got %+v", op)
			}
			effective(t, fake, deleteID)
			if left := fake.Deployments(); len(left) != 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// TestFailedDeleteIsForced: a dead agent fails a delete; an instance must be
// deletable all the same.
func TestFailedDeleteIsForced(t *testing.T) {
	fake := directortest.Start(t, directortest.Options{})
	s := newService(t, fake, nil)
	persistDeploy(t, s, deployID)
	fake.FailNextTask(name, 450002, "Timed out sending 'run_script' to instance: 'web/0' after 45 seconds")
	if op := persistDelete(t, s, deleteID); op.State != deployer.Succeeded {
		t.Errorf("got %+v", op)
	}
	if got := len(fake.Tasks()); got != 3 || len(fake.Deployments()) != 0 {
		t.Errorf("%d tasks, left %v: want a deploy, a delete and one by force", got, fake.Deployments())
	}
}

func TestFailedTaskTellsWhy(t *testing.T) {
	const why = "Action Failed get_task: Task 4476f011-a5d2-4553-6483-5ef6ae4d468e result: 1 of 1 pre-start scripts failed. Failed Jobs: web, and a text that is longer than a task's result."
	fake := directortest.Start(t, directortest.Options{})
	s := newService(t, fake, nil)
	fake.FailNextTask(name, 450001, why)
	op := persistDeploy(t, s, deployID)
	if op.State != deployer.Failed || op.Error != why+" (code 450001)" {
		t.Errorf("got %+v", op)
	}
	if op.Progress.Done == 0 || op.Progress.Done == op.Progress.Total {
		t.Errorf("progress of a failure: got %+v", op.Progress)
	}
	list, err := s.Deployments(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != name {
		t.Errorf("a failed first deploy is not listed: %+v, %v", list, err)
	}
	if d, err := s.Deployment(t.Context(), name); err != nil || len(d.Instances) != 1 {
		t.Errorf("got %+v, %v", d, err)
	}
	if op := persistDeploy(t, s, "deploy-0002"); op.State != deployer.Succeeded {
		t.Errorf("another deploy: got %+v", op)
	}
}

func TestDirectorRestarts(t *testing.T) {
	fake := directortest.Start(t, directortest.Options{})
	s := newService(t, fake, nil)
	fake.Pause()
	if _, err := deploy(t.Context(), s, deployID); err != nil {
		t.Fatal(err)
	}
	fake.Restart()
	fake.Resume()
	op := persistDeploy(t, s, deployID)
	if op.State != deployer.Failed || op.Error != "task 1 ended in state error without a reason" {
		t.Errorf("got %+v", op)
	}
	if op := persistDeploy(t, s, "deploy-0002"); op.State != deployer.Succeeded {
		t.Errorf("a new deploy: got %+v", op)
	}
	if op := persistDelete(t, s, deleteID); op.State != deployer.Succeeded {
		t.Errorf("delete: got %+v", op)
	}
}

// TestDeployerRestarts: a new process finds the operation again.
func TestDeployerRestarts(t *testing.T) {
	fake := directortest.Start(t, directortest.Options{})
	s := newService(t, fake, nil)
	fake.Pause()
	first, err := deploy(t.Context(), s, deployID)
	if err != nil {
		t.Fatal(err)
	}
	s = newService(t, fake, nil)
	op, err := deploy(t.Context(), s, deployID)
	if err != nil || op.TaskID != first.TaskID || op.State.Ended() {
		t.Errorf("got %+v, %v, want task %d", op, err, first.TaskID)
	}
	fake.Resume()
	if op := persistDeploy(t, s, deployID); op.State != deployer.Succeeded || len(fake.Tasks()) != 1 {
		t.Errorf("got %+v, tasks %+v", op, fake.Tasks())
	}
}
