package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
)

// Network is what the local director chose for its VMs.
type Network struct {
	Name   string       `json:"name"` // prefix of its links
	Subnet netip.Prefix `json:"subnet"`
	Bridge string       `json:"bridge"`
	Limits string       `json:"limits"` // what this kernel enforces, a sentence
}

// Network asks the director's record.
func (s *Stack) Network(ctx context.Context) (Network, error) {
	return readNetwork(ctx, s.binary, s.folder)
}

func readNetwork(ctx context.Context, binary string, folder Folder) (Network, error) {
	output, err := exec.CommandContext(ctx, binary, "director", "stack", "--dir", folder.DirectorDir()).Output()
	if err != nil {
		return Network{}, fmt.Errorf("ask the director for its network: %w", err)
	}
	var network Network
	if err := json.Unmarshal(output, &network); err != nil {
		return Network{}, fmt.Errorf("understand the director's network: %w", err)
	}
	return network, nil
}

func netipAddr(ip net.IP) (netip.Addr, bool) {
	addr, ok := netip.AddrFromSlice(ip)
	return addr.Unmap(), ok
}

// cloudConfig is the stack's: one network, three zones on this machine, and
// the VM and disk types that the shipped templates name.
func cloudConfig(subnet netip.Prefix) (map[string]any, error) {
	// The first /22 of the stack's subnet, 1,000 addresses, is for deployments.
	network, err := subnet.Addr().Prefix(22)
	if err != nil || subnet.Bits() > 22 {
		return nil, fmt.Errorf("the director's subnet %s is too small: a /22 is needed", subnet)
	}
	gateway := network.Addr().Next()
	zones := []string{"z1", "z2", "z3"}
	azs := make([]map[string]any, len(zones))
	for i, zone := range zones {
		azs[i] = map[string]any{"name": zone}
	}
	vmType := func(name string, memory int, cpu float64) map[string]any {
		return map[string]any{"name": name, "cloud_properties": map[string]any{"memory": memory, "cpu": cpu, "ephemeral_disk": 2048}}
	}
	diskType := func(name string, size int) map[string]any { return map[string]any{"name": name, "disk_size": size} }
	return map[string]any{
		"azs":        azs,
		"vm_types":   []any{vmType("small", 512, 1), vmType("large", 1024, 2), vmType("compilation", 1024, 2)},
		"disk_types": []any{diskType("small", 1024), diskType("large", 4096)},
		"networks": []any{map[string]any{"name": "default", "type": "manual", "subnets": []any{map[string]any{
			"range": network.String(), "gateway": gateway.String(), "azs": zones, "dns": []string{},
		}}}},
		"compilation": map[string]any{"workers": 1, "reuse_compilation_vms": true, "az": zones[0], "vm_type": "compilation", "network": "default"},
	}, nil
}
