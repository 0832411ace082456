package operation

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// info runs `bosh instances` or `bosh vms` and returns its lines by instance ID.
func (r *rig) info(vmsOnly bool) map[string]map[string]any {
	r.t.Helper()
	e := r.wait(r.begin(func(ctx context.Context, run *task.Run) (string, error) {
		return r.d.WriteInstances(ctx, run, InstancesRequest{Deployment: "demo", VMsOnly: vmsOnly})
	}))
	r.succeeded(e)
	out := map[string]map[string]any{}
	for _, line := range strings.Split(strings.TrimSpace(e.result), "\n") {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			r.t.Fatalf("line %s: %v", line, err)
		}
		out[fields["id"].(string)] = fields
	}
	return out
}

func TestInstances(t *testing.T) {
	r := newRig(t)
	r.mustDeploy(withErrand()...)
	rows := r.rows() // check/0, web/0, web/1
	r.vm(2).responsive = false
	all := r.info(false)
	web := all[rows[1].ID]
	for field, want := range map[string]any{
		"vm_cid": rows[1].VM.CID, "active": true, "agent_id": rows[1].VM.AgentID, "job_name": "web", "index": 0.0, "job_state": "running",
		"state": "started", "vm_type": "small", "az": rows[1].AZ, "bootstrap": true, "ignore": false, "disk_cid": r.activeDisk(1),
		"disk_cids": []any{r.activeDisk(1)}, "ips": []any{rows[1].IPs[0]}, "dns": []any{}, "processes": []any{},
		"stemcell": map[string]any{"name": "stem", "version": "1", "api_version": 3.0}, "vitals": map[string]any{"load": []any{"0.1"}},
	} {
		if !reflect.DeepEqual(web[field], want) {
			t.Errorf("%s is %v, want %v", field, web[field], want)
		}
	}
	if got := all[rows[2].ID]; got["job_state"] != "unresponsive agent" || got["vitals"] != nil || !reflect.DeepEqual(got["processes"], []any{}) {
		t.Errorf("with a silent agent: %v", got)
	}
	if got := all[rows[0].ID]; got["vm_cid"] != nil || got["job_state"] != nil || !reflect.DeepEqual(got["ips"], []any{}) {
		t.Errorf("without VM: %v", got)
	}
	if vms := r.info(true); len(vms) != 2 || vms[rows[0].ID] != nil {
		t.Errorf("VMs %v", vms)
	}
}

// TestAddressesAreNeverGivenTwice: deployments that plan at the same time do
// not get the same addresses, and compilation VMs none of theirs.
func TestAddressesAreNeverGivenTwice(t *testing.T) {
	r := newRig(t)
	var wg sync.WaitGroup
	ids := make([]int64, 4)
	for n := range ids {
		name := string(rune('a' + n))
		r.must2(r.db.EnsureDeployment(context.Background(), name, nil))
		wg.Add(1)
		go func() {
			defer wg.Done()
			ids[n] = r.begin(func(ctx context.Context, run *task.Run) (string, error) {
				return r.d.Deploy(ctx, run, DeployRequest{Manifest: manifestOf("name: demo", "name: "+name, "instances: 2", "instances: 5")})
			})
		}()
	}
	wg.Wait()
	for _, id := range ids {
		r.succeeded(r.wait(id))
	}
	rows, err := r.db.AllInstances(context.Background())
	r.must(err)
	var seen []string
	for _, row := range rows {
		for _, ip := range row.IPs {
			if slices.Contains(seen, ip) {
				t.Errorf("%s was given twice", ip)
			}
			seen = append(seen, ip)
		}
	}
	if len(seen) != 20 || len(r.d.addresses.held) != 0 {
		t.Errorf("%d addresses for 20 instances, %d still held", len(seen), len(r.d.addresses.held))
	}
	r.consistent()
}
