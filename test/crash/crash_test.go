// Package crash kills parts of a real stack at random moments of a provision
// and checks that nothing is forgotten, doubled or stuck.
package crash

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/internal/osbclient"
	"github.com/holdfast-osb/holdfast/test/stacktest"
)

var (
	runs = flag.Int("runs", 1, "how often each part is killed")
	seed = flag.Uint64("seed", 0, "replays the moments of an earlier run; 0: new ones")
)

// Bounds of one run.
const (
	latestKill  = 8 * time.Second // a provision takes about that long
	endLimit    = 3 * time.Minute // until the operation has ended, restarts included
	deleteLimit = 3 * time.Minute
)

func TestCrash(t *testing.T) {
	s := stacktest.Start(t)
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("seed %d", *seed)
	moments := rand.New(rand.NewPCG(*seed, 0))
	outcomes := map[string]int{}
	for run := range *runs {
		for _, part := range []string{"broker", "spi", "deployer", "director"} {
			moment := time.Duration(moments.Int64N(int64(latestKill)))
			outcome, why := crash(t, s, part, moment)
			t.Logf("run %2d: %-8s killed after %4.1f s: %s%s", run+1, part, moment.Seconds(), outcome, why)
			outcomes[part+" "+outcome]++
		}
	}
	t.Logf("outcomes: %v", outcomes)
}

// crash provisions an instance, kills a part meanwhile, and checks what comes
// of it. It returns the operation's last state and, of one that failed, what the
// user is told.
func crash(t *testing.T, s *stacktest.Stack, part string, moment time.Duration) (state, why string) {
	t.Helper()
	s.Refresh()
	if len(s.Status.Deployments) != 0 {
		t.Fatalf("deployments before the run: %v", s.Status.Deployments)
	}
	in := newInstance(t, s)
	in.provision()
	killed := make(chan struct{})
	timer := time.AfterFunc(moment, func() {
		defer close(killed)
		in.kill(part)
	})
	defer timer.Stop()
	state = in.wait(endLimit)
	<-killed
	in.oneDeployment()
	if state == "succeeded" {
		in.use()
	} else {
		why = ": " + in.lastMessage
	}
	in.delete()
	return state, why
}

// instance is one of a run.
type instance struct {
	*testing.T
	stack       *stacktest.Stack
	broker      *osbclient.Broker
	id          string
	service     osbclient.Service
	plan        osbclient.Plan
	operation   string
	lastMessage string
}

func newInstance(t *testing.T, s *stacktest.Stack) *instance {
	t.Helper()
	in := &instance{T: t, stack: s, broker: s.Broker(), id: osbclient.NewID()}
	in.broker.HTTP = &http.Client{Timeout: 60 * time.Second}
	stacktest.Eventually(t, time.Minute, "the broker answers", func() error {
		services, err := in.broker.Catalog(t.Context())
		if err == nil {
			in.service, in.plan = services[0], services[0].Plans[0]
		}
		return err
	})
	return in
}

// provision asks as a platform does: a request without an answer is repeated.
func (in *instance) provision() {
	in.Helper()
	stacktest.Eventually(in.T, time.Minute, "the broker takes the provision", func() error {
		started, err := in.broker.Provision(in.Context(), in.id, osbclient.InstanceRequest{ServiceID: in.service.ID, PlanID: in.plan.ID, OrgGUID: "org", SpaceGUID: "space"})
		in.operation = started.Operation
		return err
	})
}

func (in *instance) kill(part string) {
	var pid int
	in.stack.Refresh()
	for _, p := range in.stack.Status.Parts {
		if p.Name == part && p.Up {
			pid = p.PID
		}
	}
	if pid == 0 {
		in.Errorf("the %s does not run", part)
		return
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		in.Errorf("kill the %s: %v", part, err)
	}
}

func (in *instance) wait(limit time.Duration) string {
	in.Helper()
	ctx, cancel := context.WithTimeout(in.Context(), limit)
	defer cancel()
	last, err := in.broker.Wait(ctx, in.id, in.service.ID, in.plan.ID, in.operation, func(last osbclient.LastOperation) { in.lastMessage = last.Description })
	if err != nil {
		in.Fatalf("the operation does not end: %v; its last words: %q", err, in.lastMessage)
	}
	in.lastMessage = last.Description
	return last.State
}

// oneDeployment wants exactly one: a failed instance has one as well, or none
// when it failed before.
func (in *instance) oneDeployment() {
	in.Helper()
	stacktest.Eventually(in.T, time.Minute, "the director tells its deployments", func() error {
		in.stack.Refresh()
		if in.stack.Status.Problem != "" {
			return errors.New(in.stack.Status.Problem)
		}
		return nil
	})
	if n := len(in.stack.Status.Deployments); n > 1 {
		in.Fatalf("one instance has %d deployments: %v", n, in.stack.Status.Deployments)
	}
}

// use binds and runs SQL.
func (in *instance) use() {
	in.Helper()
	binding := osbclient.NewID()
	var uri string
	stacktest.Eventually(in.T, time.Minute, "the instance can be bound", func() error {
		credentials, err := in.broker.Bind(in.Context(), in.id, binding, osbclient.BindRequest{ServiceID: in.service.ID, PlanID: in.plan.ID})
		uri = fmt.Sprint(credentials["uri"])
		return err
	})
	ctx, cancel := context.WithTimeout(in.Context(), 20*time.Second)
	defer cancel()
	conn, err := in.stack.Connect(ctx, uri)
	if err != nil {
		in.Fatalf("log in: %v", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "CREATE TABLE t (n int)"); err != nil {
		in.Fatalf("SQL: %v", err)
	}
}

func (in *instance) delete() {
	in.Helper()
	stacktest.Eventually(in.T, time.Minute, "the broker takes the deletion", func() error {
		started, err := in.broker.Deprovision(in.Context(), in.id, in.service.ID, in.plan.ID)
		in.operation = started.Operation
		return err
	})
	if state := in.wait(deleteLimit); state != "succeeded" {
		in.Fatalf("the deletion %s: %s", state, in.lastMessage)
	}
	in.stack.Refresh()
	if len(in.stack.Status.Deployments) > 0 || in.stack.Status.Problem != "" {
		in.Fatalf("after the deletion: deployments %v, %s", in.stack.Status.Deployments, in.stack.Status.Problem)
	}
}
