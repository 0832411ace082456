package vm

import (
	"errors"
	"net/netip"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
	ErrInUse    = errors.New("in use")
	ErrNoStack  = errors.New("the stack is being removed")
)

// Stack is what tells one local director's objects from everything else on the machine.
type Stack struct {
	Name   string       `json:"name"`   // at most 4 characters; prefix of all links and cgroups
	Subnet netip.Prefix `json:"subnet"` // a /20 below 198.18.0.0/15
	Bridge string       `json:"bridge"`
}

// VMSpec describes a VM to be made.
type VMSpec struct {
	CID              string             // chosen by CreateVM when empty
	StemcellCID      string             // of ImportStemcell
	AgentID          string             // also the VM's hostname
	Networks         map[string]Network // by the network's name; at least one
	MemoryMiB        int                // 0: no limit
	CPUs             float64            // 0: no limit
	EphemeralDiskMiB int                // recorded; /var/vcap/data is a folder of the host's disk
	Env              map[string]any     // the manifest's env; env.bosh is completed, not replaced
	DiskCIDs         []string           // attached before the agent starts
}

// Network is a VM's place in one manual network.
type Network struct {
	Address netip.Prefix // the VM's address with the network's length: 198.18.16.5/24
	Gateway netip.Addr
	DNS     []netip.Addr
	Default []string // which of dns, gateway this network is the default for
}

// Limits says what this kernel enforces.
type Limits struct {
	Memory bool `json:"memory"`
	CPU    bool `json:"cpu"`
	// NotEnforced names in one sentence what a VM's spec asks for and does not
	// get here, with the reason; empty when there is nothing to say.
	NotEnforced string `json:"not_enforced"`
}
