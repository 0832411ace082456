package bosh_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/deployer/bosh"
	"github.com/holdfast-osb/holdfast/deployer/bosh/directortest"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

func TestOthersTasksAreWaitedFor(t *testing.T) {
	fake := directortest.Start(t, directortest.Options{})
	s := newService(t, fake, nil)
	persistDeploy(t, s, deployID)
	fake.Pause()
	id := fake.Submit("create deployment", name, fake.Manifest(name))
	op, err := deploy(t.Context(), s, "deploy-0002")
	if err != nil || op.State != deployer.Waiting || !strings.Contains(op.Progress.Message, "waiting for task 2 (create deployment") {
		t.Errorf("got %+v, %v, want it waiting for task %d", op, err, id)
	}
	if d, err := s.Deployment(t.Context(), name); err != nil || !d.Locked {
		t.Errorf("got %+v, %v, want it locked", d, err)
	}
	_, err = s.Operation(t.Context(), name, "deploy-0002")
	if !fault.Is(err, fault.NotFound) {
		t.Errorf("operation that was never submitted: got %v", err)
	}
	fake.Resume()
	if op := persistDeploy(t, s, "deploy-0002"); op.State != deployer.Succeeded {
		t.Errorf("got %+v", op)
	}
}

func TestOnlyOursAreListed(t *testing.T) {
	fake := directortest.Start(t, directortest.Options{})
	fake.AddDeployment("cf", "name: cf\ninstance_groups: []\n")
	fake.AddDeployment("theirs", "name: theirs\ntags: {holdfast: another}\ninstance_groups: []\n")
	fake.AddDeployment("odd", "name: odd\ntags: [holdfast]\n")
	fake.AddDeployment("Not_Ours", "name: Not_Ours\ntags: {holdfast: default}\n")
	fake.AddDeployment("found", "name: found\ntags: {holdfast: default, number: 7}\n")
	fake.FailNextTask("someones", 1, "no")
	fake.Submit("create deployment", "someones", "name: someones\ninstance_groups: [{name: a}]\n")
	effective(t, fake, deployID)
	s := newService(t, fake, nil)
	list, err := s.Deployments(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != "found" || list[0].Tags["number"] != "7" {
		t.Errorf("got %+v, %v", list, err)
	}
}

func TestAnswersThatAreNoAnswers(t *testing.T) {
	unavailable := func(t *testing.T, what string, err error) {
		t.Helper()
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: got %v, want it unavailable", what, err)
		}
	}
	for label, f := range map[string]directortest.Fault{
		"a proxy's 404":    {Status: http.StatusNotFound, Body: "404 page not found"},
		"a JSON 404":       {Status: http.StatusNotFound, Body: `{"error":"no route"}`},
		"401":              {Status: http.StatusUnauthorized, Body: "Not authorized: '/deployments'\n"},
		"500 without body": {Status: http.StatusInternalServerError},
		"200 without JSON": {Status: http.StatusOK, Body: "<html>welcome</html>"},
		"503":              {Status: http.StatusServiceUnavailable, Body: "<html>"},
		"connection lost":  {Trouble: directortest.LoseRequest},
	} {
		t.Run(label, func(t *testing.T) {
			fake := directortest.Start(t, directortest.Options{})
			s := newService(t, fake, nil)
			persistDeploy(t, s, deployID)
			if f.Trouble == 0 {
				f.Trouble = directortest.Refuse
			}
			f.Times = 1000
			f.Method = http.MethodGet
			fake.Inject(f)
			_, err := s.Deployment(t.Context(), name)
			unavailable(t, "deployment", err)
			_, err = s.Delete(t.Context(), name, deleteID)
			unavailable(t, "delete", err)
			_, err = s.Operation(t.Context(), name, deployID)
			unavailable(t, "operation", err)
			_, err = s.Deployments(t.Context())
			unavailable(t, "deployments", err)
			if got := fake.Deployments(); len(got) != 1 {
				t.Errorf("deployments: %v", got)
			}
		})
	}
}

func TestRefusedManifestFails(t *testing.T) {
	fake := directortest.Start(t, directortest.Options{})
	s := newService(t, fake, nil)
	fake.Inject(directortest.Fault{Method: http.MethodPost, Path: "/deployments", Trouble: directortest.Refuse, Status: http.StatusBadRequest,
		Body: `{"code":440001,"description":"Manifest should be a hash"}`})
	op, err := deploy(t.Context(), s, deployID)
	if err != nil || op.State != deployer.Failed || !strings.Contains(op.Error, "Manifest should be a hash (code 440001)") {
		t.Errorf("got %+v, %v", op, err)
	}
	if op := persistDelete(t, s, deleteID); op.State != deployer.Succeeded {
		t.Errorf("delete: got %+v", op)
	}
}

func TestWrongCredentials(t *testing.T) {
	fake := directortest.Start(t, directortest.Options{})
	good := newService(t, fake, nil)
	if err := good.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	s := newService(t, fake, func(c *bosh.Config) { c.Password = secret.New("wrong-password") })
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "refuses our credentials") {
		t.Errorf("check: got %v", err)
	}
	_, err := deploy(t.Context(), s, deployID)
	if !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "wrong-password") {
		t.Errorf("deploy: got %v", err)
	}
	stranger := newService(t, fake, func(c *bosh.Config) { c.CACert = "" })
	if err := stranger.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("unknown CA: got %v", err)
	}
}

// TestNoCallHangs: a director that takes requests and says nothing.
func TestNoCallHangs(t *testing.T) {
	fake := directortest.Start(t, directortest.Options{})
	s := newService(t, fake, func(c *bosh.Config) { c.RequestTimeout = time.Second })
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		fake.Inject(directortest.Fault{Method: method, Path: "/", Trouble: directortest.Slow, Delay: time.Minute, Times: 1000})
	}
	start := time.Now()
	_, err := deploy(t.Context(), s, deployID)
	if !fault.Is(err, fault.Unavailable) || time.Since(start) > 3*time.Second {
		t.Errorf("got %v after %s", err, time.Since(start))
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	start = time.Now()
	_, err = s.Operation(ctx, name, deployID)
	if !errors.Is(err, context.Canceled) || time.Since(start) > 900*time.Millisecond {
		t.Errorf("cancelled call: got %v after %s", err, time.Since(start))
	}
}

// TestConnectionsAreKept: the peer that opens one for each request needed
// thousands.
func TestConnectionsAreKept(t *testing.T) {
	fake := directortest.Start(t, directortest.Options{Step: 5 * time.Millisecond})
	s := newService(t, fake, nil)
	persistDeploy(t, s, deployID)
	persistDelete(t, s, deleteID)
	polls := fake.Requests("GET /tasks")
	if got := fake.Connections(); got > 2 || polls < 10 {
		t.Errorf("%d connections for %d polls", got, polls)
	}
	if fake.Requests("ranges") == 0 {
		t.Error("events are read from their beginning again and again")
	}
}

// TestSubmissionOutlivesItsCaller: half a submission would leave a doubt.
func TestSubmissionOutlivesItsCaller(t *testing.T) {
	const delay = 300 * time.Millisecond
	fake := directortest.Start(t, directortest.Options{})
	s := newService(t, fake, nil)
	fake.Inject(directortest.Fault{Method: http.MethodPost, Path: "/deployments", Trouble: directortest.Slow, Delay: delay})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		for fake.Requests("POST /deployments") == 0 && t.Context().Err() == nil {
			<-time.After(time.Millisecond)
		}
	}()
	start := time.Now()
	op, err := deploy(ctx, s, deployID)
	if took := time.Since(start); took < delay || err != nil || op.TaskID != 1 {
		t.Errorf("got %+v, %v after %s", op, err, took)
	}
	if op := persistDeploy(t, s, deployID); op.State != deployer.Succeeded || len(fake.Tasks()) != 1 {
		t.Errorf("got %+v with tasks %+v", op, fake.Tasks())
	}
}

// TestRedirectIsEnough: the answer names the task, and reading that fails.
func TestRedirectIsEnough(t *testing.T) {
	fake := directortest.Start(t, directortest.Options{})
	s := newService(t, fake, nil)
	fake.Inject(directortest.Fault{Method: http.MethodGet, Path: "/tasks/", Trouble: directortest.Refuse, Status: http.StatusBadGateway})
	op, err := deploy(t.Context(), s, deployID)
	if err != nil || op.TaskID != 1 || op.State != deployer.Queued {
		t.Errorf("got %+v, %v, want task 1", op, err)
	}
	if op := persistDeploy(t, s, deployID); op.State != deployer.Succeeded || len(fake.Tasks()) != 1 {
		t.Errorf("got %+v with tasks %+v", op, fake.Tasks())
	}
}
