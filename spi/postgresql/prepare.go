package postgresql

import (
	"context"
	"fmt"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/spi"
)

// Prepare maps a plan and its parameters to the template's attributes, and makes
// the deployment's token in Consul.
func (s *Service) Prepare(ctx context.Context, in spi.PrepareRequest) (spi.Preparation, error) {
	plan, err := s.plan(in.Instance.PlanID)
	if err != nil {
		return spi.Preparation{}, err
	}
	if in.Previous != nil {
		if err := s.checkMigration(in.Previous.PlanID, plan); err != nil {
			return spi.Preparation{}, err
		}
	}
	parameters, err := readInstanceParameters(in.Instance.Parameters, plan)
	if err != nil {
		return spi.Preparation{}, err
	}
	deployment := in.Instance.Deployment
	secrets, err := ensureSecrets(in.Instance.Secrets, deployment, s.serverNames(deployment))
	if err != nil {
		return spi.Preparation{}, err
	}
	key, err := readInstanceKey(secrets[secretKey])
	if err != nil {
		return spi.Preparation{}, err
	}
	token := key.consulToken(deployment)
	if err := s.consul.ensureToken(ctx, deployment, token); err != nil {
		return spi.Preparation{}, err
	}
	servers := make([]any, len(s.config.Consul.Addresses))
	for i, address := range s.config.Consul.Addresses {
		servers[i] = address
	}
	return spi.Preparation{
		Template: plan.Template,
		Attributes: map[string]any{
			"vm_type": plan.VMType, "disk_type": plan.DiskType, "memory_mb": plan.MemoryMB,
			"instances": plan.Nodes, "replication_mode": parameters.Replication,
			"server_ca": secrets[secretCA].Reveal(), "server_certificate": secrets[secretServer].Reveal(),
			"admin_ca":                            secrets[secretCA].Reveal(),
			"replication_certificate":             secrets[secretReplication].Reveal(),
			"consul_servers":                      servers,
			"consul_ca":                           s.config.Consul.CACert,
			"idle_in_transaction_timeout_seconds": parameters.IdleInTransactionTimeout,
		},
		// Whoever reads manifests sees the server's key, never the
		// administrator's: that one stays among the secrets.
		SecretAttributes: secret.Values{
			"server_private_key":      secrets[secretServerKey],
			"replication_private_key": secrets[secretReplicationKey],
			"keeper_token":            secret.New(key.keeperToken(deployment)),
			"consul_token":            secret.New(token),
		},
		Secrets: secrets,
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

func (s *Service) replicaName(deployment string) string { return s.nameOf("replica", deployment) }

func (s *Service) nodeName(deployment string, index int) string {
	return s.nameOf(fmt.Sprintf("node-%d", index), deployment)
}

func (s *Service) serverNames(deployment string) []string {
	names := []string{s.primaryName(deployment), s.replicaName(deployment)}
	for node := range 3 {
		names = append(names, s.nodeName(deployment, node))
	}
	return append(names, "localhost")
}

// Remove takes back what the deployment has in Consul. All else of an instance
// is in its deployment.
func (s *Service) Remove(ctx context.Context, in spi.Instance) error {
	s.connections.forget(in.ID)
	s.primaries.Delete(in.ID)
	if in.Deployment == "" { // nothing was prepared
		return nil
	}
	return s.consul.remove(ctx, in.Deployment)
}
