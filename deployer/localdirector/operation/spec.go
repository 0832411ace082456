package operation

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/cloudfoundry/bosh-agent/v2/agentclient/applyspec"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/vm"
)

// spec is what an instance is given: the VM it runs in and what runs in it.
// The row of an instance keeps the spec from the moment its VM is made with it
// or its agent is asked to apply it. It is enough to bring the instance back
// after its VM died, whatever happened to manifests and configs since.
type spec struct {
	Machine   machineSpec     `json:"machine"`
	Jobs      []jobRef        `json:"jobs"`
	Packages  []packageRef    `json:"packages"`
	Templates templatesRef    `json:"templates"`
	Update    manifest.Update `json:"update"`
}

// machineSpec is the part of a spec that cannot change without a new VM.
type machineSpec struct {
	Stemcell   db.NameVersion           `json:"stemcell"`
	VMType     string                   `json:"vm_type"` // its name, which may change without a new VM
	Properties manifest.CloudProperties `json:"properties"`
	Env        json.RawMessage          `json:"env,omitempty"` // canonical; may hold secrets
	Networks   []networkSpec            `json:"networks"`
}

// diskSpec is the persistent disk an instance should have.
type diskSpec struct {
	SizeMiB    int
	Properties json.RawMessage // canonical
}

// networkSpec is an instance's place in one network.
type networkSpec struct {
	Name    string       `json:"name"`
	IP      netip.Addr   `json:"ip"`
	Prefix  netip.Prefix `json:"prefix"`
	Gateway netip.Addr   `json:"gateway"`
	DNS     []netip.Addr `json:"dns,omitempty"`
	Default []string     `json:"default,omitempty"`
}

// jobRef names a job of a release as it was rendered.
type jobRef struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// packageRef names a compiled package that the instance runs.
type packageRef struct {
	Name    string         `json:"name"`
	Version string         `json:"version"`
	Key     string         `json:"key"`     // in the cache of compiled packages
	Digest  string         `json:"digest"`  // of the compiled package that the agent was given
	Release db.NameVersion `json:"release"` // to compile it again should the cache have lost it
}

// templatesRef names the rendered templates of all of the instance's jobs.
type templatesRef struct {
	ConfigurationHash string `json:"configuration_hash"`
	Digest            string `json:"digest"` // of the archive, by which it is kept (archives.go)
}

// encode renders the spec for the instance's row.
func (s spec) encode() (json.RawMessage, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode the spec of an instance: %w", err)
	}
	return text, nil
}

// decodeSpec reads the spec of an instance's row; nil when it was never given one.
func decodeSpec(raw json.RawMessage) (*spec, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var s spec
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("read the spec of an instance: %w", err)
	}
	return &s, nil
}

// canonicalJSON renders a hash so that equal content is equal text, also after
// a way through a database column; the empty hash is nil.
func canonicalJSON(hash map[string]any) (json.RawMessage, error) {
	if len(hash) == 0 {
		return nil, nil
	}
	return json.Marshal(hash)
}

// networksOf turns planned networks into those of a spec, ordered by name.
func networksOf(planned []manifest.NetworkSettings) []networkSpec {
	out := make([]networkSpec, 0, len(planned))
	for _, n := range planned {
		out = append(out, networkSpec{Name: n.Network, IP: n.IP, Prefix: n.Prefix.Masked(), Gateway: n.Gateway,
			DNS: n.DNS, Default: n.Default})
	}
	slices.SortFunc(out, func(a, b networkSpec) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (m machineSpec) ips() []string {
	out := make([]string, 0, len(m.Networks))
	for _, n := range m.Networks {
		out = append(out, n.IP.String())
	}
	return out
}

// vmNetworks is what the host must know of the networks.
func (m machineSpec) vmNetworks() map[string]vm.Network {
	out := make(map[string]vm.Network, len(m.Networks))
	for _, n := range m.Networks {
		out[n.Name] = vm.Network{Address: netip.PrefixFrom(n.IP, n.Prefix.Bits()), Gateway: n.Gateway, DNS: n.DNS, Default: n.Default}
	}
	return out
}

// agentNetworks is what agents and templates are told of the networks.
func (m machineSpec) agentNetworks() map[string]any {
	out := make(map[string]any, len(m.Networks))
	for _, n := range m.Networks {
		settings := map[string]any{
			"type": "manual", "ip": n.IP.String(), "netmask": netmask(n.Prefix), "gateway": n.Gateway.String(),
			"cloud_properties": map[string]any{},
		}
		if len(n.DNS) > 0 {
			settings["dns"] = n.DNS
		}
		if len(n.Default) > 0 {
			settings["default"] = n.Default
		}
		out[n.Name] = settings
	}
	return out
}

// uploaded says under which ids the agent finds the blobs of an apply spec.
type uploaded struct {
	packages  map[string]applyspec.Blob
	templates applyspec.RenderedTemplatesArchiveSpec
}

// applySpec is the message that gives an agent the whole spec.
func (s spec) applySpec(row db.Instance, blobs uploaded) applyspec.ApplySpec {
	out := s.machineOnly(row)
	out.Packages = maps.Clone(blobs.packages)
	for _, j := range s.Jobs {
		out.Job.Templates = append(out.Job.Templates, applyspec.Blob{Name: j.Name, Version: j.Version})
	}
	out.RenderedTemplatesArchive = blobs.templates
	out.ConfigurationHash = s.Templates.ConfigurationHash
	return out
}

// machineOnly is the message that tells a new VM who it is, without any jobs.
func (s spec) machineOnly(row db.Instance) applyspec.ApplySpec {
	return applyspec.ApplySpec{
		Deployment: row.Deployment, Name: row.Group, Index: row.Index, NodeID: row.ID, AvailabilityZone: row.AZ,
		Networks: s.Machine.agentNetworks(), Packages: map[string]applyspec.Blob{},
		Job: applyspec.Job{Name: row.Group, Templates: []applyspec.Blob{}},
	}
}

func netmask(p netip.Prefix) string {
	var mask [4]byte
	for i := range p.Bits() {
		mask[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(mask).String()
}

// gatewayPrefix is a gateway with its network's length.
func gatewayPrefix(n networkSpec) netip.Prefix { return netip.PrefixFrom(n.Gateway, n.Prefix.Bits()) }
