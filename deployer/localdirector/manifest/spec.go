package manifest

import (
	"net"
	"net/netip"
	"strings"
)

// SpecInput is what the `spec` of a job's templates is built from.
type SpecInput struct {
	Deployment string
	Group      *InstanceGroup
	Instance   *Instance
	Release    *Release // that has the job
}

// InstanceSpec is what the templates of a job see as `spec`, without the
// properties and links, which the renderer adds.
func InstanceSpec(in SpecInput) map[string]any {
	i := in.Instance
	templates := make([]any, len(in.Group.Jobs))
	for n, j := range in.Group.Jobs {
		templates[n] = map[string]any{"name": j.Name, "release": j.Release}
	}
	spec := map[string]any{
		"deployment":      in.Deployment,
		"job":             map[string]any{"name": in.Group.Name, "templates": templates},
		"name":            in.Group.Name,
		"index":           i.Index,
		"id":              i.ID,
		"az":              orNil(i.AZ),
		"bootstrap":       i.Bootstrap,
		"lifecycle":       in.Group.Lifecycle,
		"networks":        i.NetworkSpec(in.Deployment),
		"address":         i.Address().String(),
		"ip":              i.Address().String(),
		"persistent_disk": 0,
		"dns_domain_name": RootDomain,
	}
	if in.Group.PersistentDisk != nil {
		spec["persistent_disk"] = in.Group.PersistentDisk.SizeMiB
	}
	if in.Release != nil {
		spec["release"] = map[string]any{"name": in.Release.Name, "version": in.Release.Version}
	}
	return spec
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// NetworkSpec are the instance's networks as specs of templates and agents
// have them: by name, with the DNS name that BOSH would give the instance there.
func (i *Instance) NetworkSpec(deployment string) map[string]any {
	out := make(map[string]any, len(i.Networks))
	for n := range i.Networks {
		s := &i.Networks[n]
		one := map[string]any{
			"type":             "manual",
			"ip":               s.IP.String(),
			"prefix":           "32",
			"netmask":          s.Netmask(),
			"gateway":          s.Gateway.String(),
			"cloud_properties": s.CloudProperties,
			"dns_record_name":  s.recordName(i, deployment),
		}
		if len(s.Default) > 0 {
			one["default"] = s.Default
		}
		if len(s.DNS) > 0 {
			servers := make([]string, len(s.DNS))
			for k, ip := range s.DNS {
				servers[k] = ip.String()
			}
			one["dns"] = servers
		}
		out[s.Network] = one
	}
	return out
}

// Netmask of the subnet in dotted form.
func (s *NetworkSettings) Netmask() string {
	if !s.Prefix.IsValid() {
		return ""
	}
	ip, _ := netip.AddrFromSlice(net.CIDRMask(s.Prefix.Bits(), s.Prefix.Addr().BitLen()))
	return ip.String()
}

func (s *NetworkSettings) isDefault(what string) bool {
	for _, d := range s.Default {
		if d == what {
			return true
		}
	}
	return false
}

func (s *NetworkSettings) recordName(i *Instance, deployment string) string {
	labels := []string{inspectScalar(i.Index)}
	for _, name := range []string{i.Group, s.Network, deployment} {
		canonical, err := canonicalName(name)
		if err != nil {
			canonical = strings.ToLower(name) // no DNS name; it is told to nobody but the template
		}
		labels = append(labels, canonical)
	}
	return strings.Join(append(labels, RootDomain), ".")
}
