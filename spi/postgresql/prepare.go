package postgresql

import (
	"context"
	"fmt"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/spi"
)

// Prepare maps a plan and its parameters to the template's attributes.
func (s *Service) Prepare(_ context.Context, in spi.PrepareRequest) (spi.Preparation, error) {
	plan, err := s.plan(in.Instance.PlanID)
	if err != nil {
		return spi.Preparation{}, err
	}
	if in.Previous != nil {
		if err := s.checkMigration(in.Previous.PlanID, plan); err != nil {
			return spi.Preparation{}, err
		}
	}
	parameters, err := readInstanceParameters(in.Instance.Parameters)
	if err != nil {
		return spi.Preparation{}, err
	}
	secrets, err := ensureSecrets(in.Instance.Secrets, in.Instance.Deployment, s.serverNames(in.Instance.Deployment))
	if err != nil {
		return spi.Preparation{}, err
	}
	return spi.Preparation{
		Template: plan.Template,
		Attributes: map[string]any{
			"vm_type": plan.VMType, "disk_type": plan.DiskType, "memory_mb": plan.MemoryMB,
			"server_ca": secrets[secretCA].Reveal(), "server_certificate": secrets[secretServer].Reveal(),
			"admin_ca":                            secrets[secretCA].Reveal(),
			"idle_in_transaction_timeout_seconds": parameters.IdleInTransactionTimeout,
		},
		// Whoever reads manifests sees the server's key, never the
		// administrator's: that one stays among the secrets.
		SecretAttributes: secret.Values{"server_private_key": secrets[secretServerKey]},
		Secrets:          secrets,
	}, nil
}

func (s *Service) checkMigration(from string, to PlanConfig) error {
	if from == to.ID {
		return nil
	}
	old, err := s.plan(from)
	if err != nil {
		return fmt.Errorf("the instance's present plan is unknown: %w", err)
	}
	for _, allowed := range s.catalogPlan(old).MigratesTo {
		if allowed == to.ID {
			return nil
		}
	}
	return fault.InvalidField("plan_id", "an instance of plan %s cannot move to plan %s: its disk would shrink or its template change", old.Name, to.Name)
}

// The names of an instance. They are the same for one node and for three, so
// that an instance may grow without a new certificate.
func (s *Service) nameOf(service, deployment string) string {
	return service + "." + deployment + ".service." + s.config.Domain
}

func (s *Service) primaryName(deployment string) string { return s.nameOf("primary", deployment) }

func (s *Service) serverNames(deployment string) []string {
	names := []string{s.primaryName(deployment), s.nameOf("replica", deployment)}
	for node := range 3 {
		names = append(names, s.nameOf(fmt.Sprintf("node-%d", node), deployment))
	}
	return append(names, "localhost")
}

// Remove has nothing to undo: all of an instance is in its deployment.
func (s *Service) Remove(_ context.Context, in spi.Instance) error {
	s.connections.forget(in.ID)
	return nil
}
