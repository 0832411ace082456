package broker_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/broker/brokertest"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/spi"
	"github.com/holdfast-osb/holdfast/store"
)

func impatient(_ *harness, cfg *brokerConfig, _ map[string]spi.Service) {
	l := &cfg.Operation.Limits
	for _, d := range []*time.Duration{&l.Preparing, &l.Deploying, &l.Configuring, &l.Restoring, &l.Unbinding, &l.Deleting, &l.Cleaning} {
		*d = 300 * time.Millisecond
	}
}

// A failed create ends with a sentence and a reference, and can be deleted.
func TestFailedCreateCanBeDeleted(t *testing.T) {
	always := func(call string, err error) func(context.Context, string, string) error {
		return func(ctx context.Context, c, _ string) error {
			if c == call {
				return err
			}
			return ctx.Err()
		}
	}
	away := fault.New(fault.Unavailable, "the part is away")
	for name, c := range map[string]struct {
		breaks func(h *harness)
		body   object
		says   string
	}{
		"the SPI refuses it":           {nil, provisionBody(object{"parameters": object{"litres": 7}}), "parameters.litres: seven is unlucky"},
		"the SPI is away":              {func(h *harness) { h.kettles.Before(always("prepare", away)) }, provisionBody(nil), "the part is away"},
		"the SPI has a defect":         {func(h *harness) { h.kettles.Before(always("prepare", context.Canceled)) }, provisionBody(nil), "internal error"},
		"the deployer is away":         {func(h *harness) { h.director.Before(always("deploy", away)) }, provisionBody(nil), "the part is away"},
		"the director fails it":        {func(h *harness) { h.director.Fail(func(brokertest.Task) string { return "no compute capacity" }) }, provisionBody(nil), "its deployment failed"},
		"the service does not come up": {func(h *harness) { h.kettles.Before(always("configure", away)) }, provisionBody(nil), "the part is away"},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, impatient)
			if c.breaks != nil {
				c.breaks(h)
			}
			last := h.finish("provision", "i1", h.do("PUT", instancePath("i1")+async, c.body), "failed")
			if text := last.text("description"); !strings.Contains(text, c.says) || !strings.Contains(text, "Delete it") || strings.Contains(text, "compute capacity") {
				t.Errorf("the user reads %q; want %q and what to do, not the director's words", text, c.says)
			}
			words := strings.Fields(last.text("description"))
			if reference := strings.Trim(words[len(words)-1], "."); !strings.Contains(h.log.String(), reference) {
				t.Errorf("the log does not have the reference %q", reference)
			}
			h.director.Before(nil)
			h.director.Fail(nil)
			h.kettles.Before(nil)
			h.want("provision again", h.do("PUT", instancePath("i1")+async, c.body), http.StatusConflict)
			h.want("bind", h.do("PUT", bindingPath("i1", "b1"), bindBody(nil)), http.StatusBadRequest)
			h.want("update", h.do("PATCH", instancePath("i1")+async, patch(nil)), http.StatusUnprocessableEntity)
			h.want("fetch", h.do("GET", instancePath("i1"), nil), http.StatusOK)
			h.deprovision("i1")
			h.nothing("after deprovision")
		})
	}
}

// A delete may arrive at any time, also during a create.
func TestDeleteDuringCreate(t *testing.T) {
	for _, state := range []store.State{store.Queued, store.Preparing, store.Deploying, store.Configuring} {
		t.Run(string(state), func(t *testing.T) {
			h := start(t)
			h.director.Takes(50 * time.Millisecond)
			reached, released := make(chan struct{}), make(chan struct{})
			hold := func(at string) func(context.Context, string, string) error {
				var once bool
				return func(ctx context.Context, call, _ string) error {
					if call == at && !once {
						once = true
						close(reached)
						<-released
					}
					return ctx.Err()
				}
			}
			switch state {
			case store.Queued:
				close(reached)
			case store.Preparing:
				h.kettles.Before(hold("prepare"))
			case store.Deploying:
				h.director.Before(hold("deploy"))
			case store.Configuring:
				h.kettles.Before(hold("configure"))
			}
			creating := h.want("provision", h.do("PUT", instancePath("i1")+async, provisionBody(nil)), http.StatusAccepted)
			<-reached
			deleting := h.want("delete", h.do("DELETE", instancePath("i1")+async+"&"+deleteQuery, nil), http.StatusAccepted)
			if last := h.wait("i1", creating.text("operation")); state != store.Queued && last.text("state") != "failed" {
				t.Errorf("the creation: got %s, want failed", last.raw)
			}
			if calls := h.director.Calls("delete"); state != store.Queued && calls != 0 {
				t.Errorf("the deletion did not wait for the step that runs: %d calls", calls)
			}
			close(released)
			h.finish("delete", "i1", deleting, "succeeded")
			h.nothing("after the deletion")
		})
	}
}

func TestDeleteDuringUpdate(t *testing.T) {
	h := start(t)
	h.provision("i1", nil)
	h.director.Takes(200 * time.Millisecond)
	updating := h.want("update", h.do("PATCH", instancePath("i1")+async, patch(object{"parameters": object{"litres": 3}})), http.StatusAccepted)
	h.eventually("the update deploys", func() bool { return len(h.director.Tasks(h.instance("i1").Deployment)) == 2 })
	deleting := h.do("DELETE", instancePath("i1")+async+"&"+deleteQuery, nil)
	if last := h.wait("i1", updating.text("operation")); last.text("state") != "failed" || last.body["instance_usable"] != false {
		t.Errorf("the update: got %s", last.raw)
	}
	h.finish("delete", "i1", deleting, "succeeded")
	h.nothing("after the deletion")
}

func TestDeleteRemovesBindings(t *testing.T) {
	for name, up := range map[string]bool{"service up": true, "service down": false} {
		t.Run(name, func(t *testing.T) {
			h := start(t, impatient)
			h.provision("i1", nil)
			for _, id := range []string{"b1", "b2"} {
				h.want("bind", h.do("PUT", bindingPath("i1", id), bindBody(nil)), http.StatusCreated)
			}
			h.kettles.Up(func(string) bool { return up })
			h.deprovision("i1")
			h.nothing("after deprovision")
			if h.kettles.Bound("i1", "b1") || h.kettles.Bound("i1", "b2") {
				t.Error("a binding is left")
			}
			if up != (h.kettles.Calls("unbind") == 2) {
				t.Errorf("unbind was called %d times", h.kettles.Calls("unbind"))
			}
		})
	}
}

func TestDeleteIsRepeatedWhenTheDirectorFails(t *testing.T) {
	h := start(t)
	h.provision("i1", nil)
	name := h.instance("i1").Deployment
	failures := 1
	h.director.Fail(func(task brokertest.Task) string {
		if task.Delete && failures > 0 {
			failures--
			return "Timed out sending 'get_state'"
		}
		return ""
	})
	h.deprovision("i1")
	if tasks := h.director.Tasks(name); len(tasks) != 3 || tasks[1].Operation == tasks[2].Operation {
		t.Errorf("tasks %+v, want a deploy and two different deletes", tasks)
	}
	h.nothing("after deprovision")

	h.provision("i2", nil)
	failures = 1000
	last := h.finish("delete", "i2", h.do("DELETE", instancePath("i2")+async+"&"+deleteQuery, nil), "failed")
	if last.body["instance_usable"] != false || !strings.Contains(last.text("description"), "Delete it again") {
		t.Errorf("got %s", last.raw)
	}
	h.want("bind", h.do("PUT", bindingPath("i2", "b1"), bindBody(nil)), http.StatusBadRequest)
	failures = 0
	h.deprovision("i2")
	h.nothing("after the second deletion")
}

// I2: a late task that makes the deployment again does not leave it without a row.
func TestLateTaskIsDeletedToo(t *testing.T) {
	h := start(t)
	h.provision("i1", nil)
	name := h.instance("i1").Deployment
	late := true
	h.kettles.Before(func(ctx context.Context, call, _ string) error {
		if call == "remove" && late {
			late = false
			h.director.Conjure(name, nil)
		}
		return ctx.Err()
	})
	h.deprovision("i1")
	h.nothing("after deprovision")
}

func TestOrphansAreFound(t *testing.T) {
	h := start(t)
	h.provision("i1", nil)
	h.director.Conjure("kettle-of-nobody", nil)
	orphans, err := h.broker.Orphans(t.Context())
	if err != nil || len(orphans) != 1 || orphans[0].Name != "kettle-of-nobody" {
		t.Errorf("Orphans: got %v, %v; want the one of nobody", orphans, err)
	}
	h.director.Before(func(context.Context, string, string) error { return fault.New(fault.Unavailable, "away") })
	if orphans, err := h.broker.Orphans(t.Context()); err == nil {
		t.Errorf("Orphans without a director: got %v and no error", orphans)
	}
}
