package postgresql

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/spi"
)

// maintenanceVersion is OSB's version of what an instance is made of: raise it
// with the release's PostgreSQL or the template.
const maintenanceVersion = "15.20.0"

// The parameters, as JSON schemas. parameters.go reads them into Go.
const (
	idleSchema = `"idle_in_transaction_timeout_seconds": {
      "description": "Sessions that leave a transaction open and idle for longer are ended; 0 for never.",
      "type": "integer", "minimum": 0, "maximum": 86400, "default": 3600
    }`
	replicationSchema = `"replication": {
      "description": "async: commits do not wait for the standbys, a failover may lose the last moments. quorum: a commit waits until one standby has it on disk, and what was acknowledged is never lost.",
      "type": "string", "enum": ["async", "quorum"], "default": %q
    }`
	bindingSchema = `{
  "$schema": "http://json-schema.org/draft-07/schema#",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "read_only": {
      "description": "The credentials may read everything and change nothing.",
      "type": "boolean", "default": false
    },
    "connection_limit": {
      "description": "How many connections these credentials may have at once; absent: as many as the server has.",
      "type": "integer", "minimum": 1, "maximum": 1000
    }
  }
}`
)

// Catalog returns the offering with its plans.
func (s *Service) Catalog(context.Context) (spi.Catalog, error) {
	offering := spi.Offering{
		ID: s.config.ServiceID, Name: s.config.ServiceName, Bindable: true,
		Description: "Dedicated PostgreSQL: every instance is a server or a cluster of its own",
		Tags:        []string{"postgresql", "postgres", "relational", "database", "sql"},
		Metadata: map[string]any{
			"displayName":      "PostgreSQL",
			"longDescription":  "A dedicated PostgreSQL server, or a cluster of three with failover, on VMs and disks of its own, with TLS and data checksums. Nothing is shared with other tenants.",
			"documentationUrl": "https://github.com/holdfast-osb/holdfast/blob/main/docs/app-developers.md",
		},
	}
	for _, plan := range s.plans {
		offering.Plans = append(offering.Plans, s.catalogPlan(plan))
	}
	return spi.Catalog{Services: []spi.Offering{offering}}, nil
}

func instanceSchema(p PlanConfig) json.RawMessage {
	properties := idleSchema
	if p.Nodes > 1 {
		properties += ",\n    " + fmt.Sprintf(replicationSchema, p.Replication)
	}
	return json.RawMessage(`{
  "$schema": "http://json-schema.org/draft-07/schema#",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    ` + properties + `
  }
}`)
}

func (s *Service) catalogPlan(p PlanConfig) spi.Plan {
	schema := instanceSchema(p)
	plan := spi.Plan{
		ID: p.ID, Name: p.Name, Description: p.Description, Free: p.Free, Poolable: p.Poolable,
		Metadata: map[string]any{"bullets": p.Bullets, "displayName": p.Name},
		Schemas: spi.Schemas{
			CreateInstance: schema, UpdateInstance: schema, CreateBinding: json.RawMessage(bindingSchema),
		},
		MaintenanceInfo:        spi.MaintenanceInfo{Version: maintenanceVersion, Description: "PostgreSQL 15"},
		MaximumPollingDuration: time.Hour,
	}
	for _, other := range s.plans {
		if other.ID != p.ID && other.DiskMB >= p.DiskMB && other.Template == p.Template && other.Nodes == p.Nodes {
			plan.MigratesTo = append(plan.MigratesTo, other.ID)
		}
	}
	return plan
}

func (s *Service) plan(id string) (PlanConfig, error) {
	for _, plan := range s.plans {
		if plan.ID == id {
			return plan, nil
		}
	}
	return PlanConfig{}, fault.InvalidField("plan_id", "there is no plan %q", id)
}
