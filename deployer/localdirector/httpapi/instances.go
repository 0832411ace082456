package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/operation"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// vmJSON is an instance with its VM, or the lack of one.
type vmJSON struct {
	AgentID   *string  `json:"agent_id"`
	CID       *string  `json:"cid"`
	Job       string   `json:"job"`
	Index     int      `json:"index"`
	ID        string   `json:"id"`
	AZ        *string  `json:"az"`
	IPs       []string `json:"ips"`
	CreatedAt *string  `json:"vm_created_at"`
	Active    *bool    `json:"active,omitempty"`
	ExpectsVM *bool    `json:"expects_vm,omitempty"`
}

func newVMJSON(i db.Instance) vmJSON {
	out := vmJSON{Job: i.Group, Index: i.Index, ID: i.ID, IPs: []string{}}
	if i.AZ != "" {
		out.AZ = &i.AZ
	}
	if i.VM != nil {
		out.AgentID, out.CID = &i.VM.AgentID, &i.VM.CID
		out.IPs = append(out.IPs, i.IPs...)
		out.CreatedAt = new(i.VM.CreatedAt.UTC().Format(time.RFC3339))
	}
	return out
}

func (a *api) listVMs(w http.ResponseWriter, r *http.Request) error { return a.list(w, r, true) }

func (a *api) listInstances(w http.ResponseWriter, r *http.Request) error { return a.list(w, r, false) }

// list answers instances from the database at once; with format=full a task
// asks their agents.
func (a *api) list(w http.ResponseWriter, r *http.Request, vmsOnly bool) error {
	d, err := a.deployment(r)
	if err != nil {
		return err
	}
	if r.URL.Query().Get("format") == "full" {
		request := operation.InstancesRequest{Deployment: d.Name, VMsOnly: vmsOnly}
		return a.start(w, r, task.Request{
			Type: typeVMs, Description: "retrieve vm-stats", Deployment: d.Name, Urgent: true,
		}, func(ctx context.Context, run *task.Run) (string, error) {
			return a.Inspections.WriteInstances(ctx, run, request)
		})
	}
	rows, err := a.DB.Instances(r.Context(), d.Name)
	if err != nil {
		return err
	}
	list := []vmJSON{}
	for _, i := range rows {
		entry := newVMJSON(i)
		switch {
		case !vmsOnly:
			entry.ExpectsVM = new(i.Lifecycle != "errand" && i.State != db.StateDetached)
		case i.VM == nil:
			continue
		default:
			entry.Active = new(true)
		}
		list = append(list, entry)
	}
	return writeHTMLJSON(w, list)
}

func (a *api) showInstance(w http.ResponseWriter, r *http.Request) error {
	d, err := a.deployment(r)
	if err != nil {
		return err
	}
	i, err := a.instance(r, d)
	if err != nil {
		return err
	}
	disks, err := a.DB.Disks(r.Context(), i.ID)
	if err != nil {
		return err
	}
	cids := []string{}
	for _, disk := range disks {
		cids = append(cids, disk.CID)
	}
	return writeHTMLJSON(w, struct {
		Deployment string   `json:"deployment"`
		Job        string   `json:"job"`
		Index      int      `json:"index"`
		ID         string   `json:"id"`
		State      string   `json:"state"`
		Disks      []string `json:"disks"`
	}{d.Name, i.Group, i.Index, i.ID, i.State, cids})
}

// jobStates are what PUT …/jobs can ask for.
var jobStates = []string{"started", "stopped", "detached", "recreate", "restart"}

// changeState stops, starts, restarts or recreates all instances, those of a
// group or one, and converges the deployment (`bosh stop`, …).
func (a *api) changeState(w http.ResponseWriter, r *http.Request) error {
	d, err := a.deployment(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	request := operation.StateRequest{
		Deployment: d.Name, Group: r.PathValue("group"), IndexOrID: r.PathValue("instance"), State: q.Get("state"),
		SkipDrain: isTrue(r, "skip_drain"), Force: isTrue(r, "force"), Fix: isTrue(r, "fix"), DryRun: isTrue(r, "dry_run"),
		Canaries: q.Get("canaries"), MaxInFlight: q.Get("max_in_flight"),
	}
	if !slices.Contains(jobStates, request.State) {
		return task.Errorf(codeInvalidState, "Invalid state '%s' for '%s', valid states are: %s", request.State, request.Group, strings.Join(jobStates, ", "))
	}
	if request.Group == "*" {
		request.Group = ""
	}
	if request.IndexOrID != "" {
		if _, err := a.instance(r, d); err != nil {
			return err
		}
	}
	if request.Manifest, err = body(w, r, maxYAML); err != nil {
		return err
	}
	if len(request.Manifest) > 0 {
		if _, err := manifest.Read(request.Manifest); err != nil {
			return err
		}
	}
	return a.start(w, r, task.Request{
		Type: typeUpdateDeployment, Description: "create deployment", Deployment: d.Name,
	}, func(ctx context.Context, run *task.Run) (string, error) {
		return a.Deployments.ChangeState(ctx, run, request)
	})
}

// actOnInstance is the same for one instance and nothing else
// (`bosh stop --no-converge`).
func (a *api) actOnInstance(w http.ResponseWriter, r *http.Request) error {
	action := r.PathValue("action")
	if !slices.Contains([]string{"start", "stop", "restart", "recreate"}, action) {
		return endpointNotFound(r)
	}
	d, err := a.deployment(r)
	if err != nil {
		return err
	}
	i, err := a.instance(r, d)
	if err != nil {
		return err
	}
	request := operation.ActionRequest{
		Deployment: d.Name, Group: i.Group, IndexOrID: i.ID, Action: action,
		SkipDrain: isTrue(r, "skip_drain"), Hard: isTrue(r, "hard"),
		IgnoreUnresponsiveAgent: isTrue(r, "ignore_unresponsive_agent"),
	}
	return a.start(w, r, task.Request{
		Type: typeUpdateInstance, Description: action + " instance", Deployment: d.Name,
	}, func(ctx context.Context, run *task.Run) (string, error) {
		return a.Deployments.ActOnInstance(ctx, run, request)
	})
}

func (a *api) ignoreInstance(w http.ResponseWriter, r *http.Request) error {
	var wanted struct {
		Ignore *bool `json:"ignore"`
	}
	return a.setFlag(w, r, &wanted, func(ctx context.Context, id string) error {
		if wanted.Ignore == nil {
			return task.Errorf(codeMissingField, "Missing 'ignore' field")
		}
		return a.DB.SetIgnored(ctx, id, *wanted.Ignore)
	})
}

func (a *api) pauseInstance(w http.ResponseWriter, r *http.Request) error {
	var wanted struct {
		Paused *bool `json:"resurrection_paused"`
	}
	return a.setFlag(w, r, &wanted, func(ctx context.Context, id string) error {
		if wanted.Paused == nil {
			return task.Errorf(codeMissingField, "Missing 'resurrection_paused' field")
		}
		return a.DB.SetResurrectionPaused(ctx, id, *wanted.Paused)
	})
}

// setFlag reads what is wanted and sets it on the instance of the path.
func (a *api) setFlag(w http.ResponseWriter, r *http.Request, wanted any, set func(ctx context.Context, id string) error) error {
	d, err := a.deployment(r)
	if err != nil {
		return err
	}
	i, err := a.instance(r, d)
	if err != nil {
		return err
	}
	if err := decode(w, r, wanted); err != nil {
		return err
	}
	if err := set(r.Context(), i.ID); err != nil {
		return err
	}
	writeText(w, http.StatusOK, typeHTML, "")
	return nil
}
