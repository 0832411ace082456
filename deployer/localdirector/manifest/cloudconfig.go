package manifest

import "net/netip"

// CloudConfig is a checked cloud config.
type CloudConfig struct {
	AZs          []AZ
	VMTypes      []VMType
	VMExtensions []VMType // same shape: a name and cloud properties to merge
	DiskTypes    []DiskType
	Networks     []Network
	Compilation  Compilation
}

// ParseCloudConfig checks a cloud config's tree as one whole.
func ParseCloudConfig(tree map[string]any) (*CloudConfig, error) { return nil, errNotYet }

// ReadConfig parses the YAML of any config (cloud, runtime, …) without
// checking what it says. Faults: 440011.
func ReadConfig(text []byte) (map[string]any, error) { return nil, errNotYet }

// MergeConfigs joins several cloud configs, as the director joins configs of
// different names: lists are joined, `compilation` may be given once.
func MergeConfigs(trees ...map[string]any) (map[string]any, error) { return nil, errNotYet }

// AZ is an availability zone.
type AZ struct {
	Name            string
	CloudProperties map[string]any
}

// VMType is a vm_type or a vm_extension.
type VMType struct {
	Name            string
	CloudProperties map[string]any
}

// DiskType is a disk_type.
type DiskType struct {
	Name            string
	SizeMiB         int
	CloudProperties map[string]any
}

// CloudProperties are those a VM of the local director understands.
type CloudProperties struct {
	MemoryMiB        int     // "memory"
	CPUs             float64 // "cpu", cores
	EphemeralDiskMiB int     // "ephemeral_disk"
}

// Network of the cloud config. Only manual networks exist on one machine.
type Network struct {
	Name    string
	Subnets []Subnet
}

// Subnet of a manual network.
type Subnet struct {
	Range    netip.Prefix
	Gateway  netip.Addr
	DNS      []netip.Addr
	AZs      []string // empty: for instances without an az
	Static   []IPRange
	Reserved []IPRange
}

// IPRange is an inclusive range of addresses.
type IPRange struct{ First, Last netip.Addr }

// Compilation says how packages are compiled.
type Compilation struct {
	Workers             int
	Network             string
	AZ                  string
	VMType              string
	VM                  CloudProperties
	VMExtensions        []string
	ReuseCompilationVMs bool
	OrphanWorkers       bool
	Env                 map[string]any
}

// Network returns the network of that name.
func (c *CloudConfig) Network(name string) (*Network, bool) {
	for i := range c.Networks {
		if c.Networks[i].Name == name {
			return &c.Networks[i], true
		}
	}
	return nil, false
}
