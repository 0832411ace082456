package broker

import (
	"context"
	"fmt"

	"github.com/holdfast-osb/holdfast/deployer"
)

// componentTag is carried by deployments that are a part of Holdfast.
const componentTag = "component"

// Orphans lists the deployments that carry our tag but belong to no instance
// of this store. An empty deployer is no evidence: an error is returned
// instead of calling everything an orphan.
func (b *Broker) Orphans(ctx context.Context) ([]deployer.Deployment, error) {
	// The deployments first: one that is made in between has its row already.
	deployments, err := b.deployer.Deployments(ctx)
	if err != nil {
		return nil, fmt.Errorf("list deployments: %w", err)
	}
	owners, err := b.store.Deployments(ctx)
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", err)
	}
	var orphans []deployer.Deployment
	for _, d := range deployments {
		// Parts of Holdfast itself are nobody's instance.
		if owners[d.Name] == "" && d.Tags[componentTag] == "" {
			orphans = append(orphans, d)
		}
	}
	return orphans, nil
}

func (b *Broker) reportOrphans(ctx context.Context) {
	orphans, err := b.Orphans(ctx)
	if err != nil {
		if ctx.Err() == nil {
			b.log.Warn("looking for orphaned deployments failed", "error", err.Error())
		}
		return
	}
	b.metrics.orphans.Set(float64(len(orphans)))
	for _, d := range orphans {
		b.log.Warn("deployment belongs to no instance", "deployment", d.Name)
	}
}
