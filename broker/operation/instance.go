package operation

import (
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/spi"
	"github.com/holdfast-osb/holdfast/store"
)

// Instance is an instance as its data service knows it.
func Instance(in store.Instance) spi.Instance {
	return spi.Instance{
		ID: in.ID, Deployment: in.Deployment, ServiceID: in.ServiceID, PlanID: in.PlanID,
		Parameters: in.Private.Parameters, Context: in.Private.Context,
		Attributes: in.Private.Prepared.Attributes, Secrets: in.Private.Prepared.Secrets,
		Nodes: nodesForService(in.Nodes),
	}
}

// target is the instance as the operation wants it.
func target(op store.Operation, in store.Instance) spi.Instance {
	want := Instance(in)
	want.PlanID, want.Parameters = op.PlanID, op.Private.Parameters
	if op.Private.Context != nil {
		want.Context = op.Private.Context
	}
	if p := op.Private.Prepared; p != nil {
		want.Attributes, want.Secrets = p.Attributes, p.Secrets
	}
	return want
}

// previous is what an update starts from, nil for a creation.
func previous(op store.Operation, in store.Instance) *spi.Previous {
	if op.Kind != store.Update {
		return nil
	}
	return &spi.Previous{PlanID: in.PlanID, Parameters: in.Private.Parameters, Attributes: in.Private.Prepared.Attributes}
}

func nodesForService(nodes []store.Node) []spi.Node {
	out := make([]spi.Node, len(nodes))
	for i, n := range nodes {
		out[i] = spi.Node(n)
	}
	return out
}

// merged holds what is in either; later wins.
func merged(earlier, later secret.Values) secret.Values {
	all := make(secret.Values, len(earlier)+len(later))
	for name, value := range earlier {
		all[name] = value
	}
	for name, value := range later {
		all[name] = value
	}
	return all
}
