package store

import (
	"encoding/json"
	"time"

	"github.com/holdfast-osb/holdfast/internal/secret"
)

// InstanceState is what may be done with an instance.
//
//	Creating ─▶ Ready ─▶ Broken ─▶ Gone
//	    └──────────────────▲
type InstanceState string

// The states of an instance.
const (
	Creating InstanceState = "creating" // its creation runs
	Ready    InstanceState = "ready"    // usable
	Broken   InstanceState = "broken"   // creation failed or deletion began: only a delete is possible
	Gone     InstanceState = "gone"     // deleted; kept for a while to answer late requests
)

// Instance is one service instance.
type Instance struct {
	ID         string
	Version    int64 // raised by every write
	State      InstanceState
	Provider   string // name of the SPI that serves it
	ServiceID  string
	PlanID     string
	Deployment string // the BOSH deployment's name, unique among instances that are not Gone
	OrgGUID    string
	SpaceGUID  string
	// Maintenance is the plan's maintenance_info version that it was last
	// deployed with.
	Maintenance string
	Nodes       []Node
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Private     InstancePrivate
}

// Node is one VM of the instance's deployment.
type Node struct {
	Name    string `json:"name"`
	Index   int    `json:"index"`
	Address string `json:"address"`
}

// InstancePrivate is stored sealed.
type InstancePrivate struct {
	Parameters json.RawMessage
	Context    json.RawMessage
	Prepared   Prepared
}

// Prepared is what the data service said about deploying an instance.
type Prepared struct {
	Template         string
	Attributes       map[string]any
	SecretAttributes secret.Values
	Secrets          secret.Values
}
