package keeper

import (
	"fmt"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/boottime"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/status"
)

// Report returns the state as last decided.
func (k *Keeper) Report() status.Report {
	k.mu.Lock()
	defer k.mu.Unlock()
	report := k.facts.report
	report.Age = boottime.Now().Sub(report.SeenAt)
	return report
}

// takeReport notes what was decided, for peers and people. mu is held.
func (k *Keeper) takeReport(now decide.Status, seen decide.Observation) {
	old := &k.facts.report
	last := old.Last
	if now.Role != old.Role {
		last = status.Transition{From: old.Role, To: now.Role, Why: now.Why, At: time.Now()}
		k.log.Info("role", "from", old.Role, "to", now.Role, "why", now.Why)
	}
	view := &seen.Consul.View
	leader := &view.Leader.Value
	report := status.Report{
		Status: now, Deployment: k.settings.Deployment, Server: seen.Local.Server.State.String(),
		Primary: leader.Node, Consul: "answers", Fence: k.facts.guard.Fence, Last: last,
	}
	for _, one := range view.Nodes {
		if one.Node == leader.Node {
			report.PrimaryAddress, report.PrimaryPort = one.Address, one.StatusPort
		}
	}
	switch {
	case view.AnsweredAt == 0:
		report.Lease = "not known"
	case view.Leader.Index == 0:
		report.Lease = "never taken"
	case leader.Released:
		report.Lease = fmt.Sprintf("epoch %d, released by %s", leader.Epoch, leader.Node)
	default:
		report.Lease = fmt.Sprintf("epoch %d, held by %s, beat %d", leader.Epoch, leader.Node, leader.Beat)
	}
	if since := seen.Consul.FailingSince; since != 0 {
		report.Consul = "does not answer for " + seen.Now.Sub(since).Round(time.Second).String()
	}
	for _, one := range view.Members.Value {
		report.Members = append(report.Members, one.Node)
	}
	if seen.Local.Server.InRecovery && leader.Position.LSN > now.Position.LSN {
		report.Lag = int64(leader.Position.LSN - now.Position.LSN)
	}
	*old = report
}
