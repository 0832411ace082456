package manifest

import (
	"slices"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/psych"
)

// maxInstances of one group: far beyond what one machine carries, and small
// enough that a typing error does not cost the director's memory.
const maxInstances = 10_000

func (p *parser) group(spec any) (InstanceGroup, error) {
	r := read(spec)
	g := InstanceGroup{Name: r.str("name"), Lifecycle: r.strOr("lifecycle", lifecycleService)}
	if r.err != nil {
		return g, r.err
	}
	if g.Lifecycle != lifecycleService && g.Lifecycle != lifecycleErrand {
		return g, faultf(CodeJobInvalidLifecycle, "Invalid lifecycle '%s' for '%s', valid lifecycle profiles are: service, errand", g.Lifecycle, g.Name)
	}
	if r.has("template") || r.has("templates") {
		return g, faultf(CodeV1DeprecatedTemplate, "Instance group '%s' specifies template or templates. This is no longer supported, please use jobs instead", g.Name)
	}
	if jobs, _ := get(r.h, "jobs"); jobs == nil {
		return g, faultf(CodeValidationMissingField, "Instance group '%s' does not specify jobs key", g.Name)
	}
	for _, part := range []func(*reader, *InstanceGroup) error{
		p.groupJobs, p.groupDisk, p.groupStemcell, p.groupVM, p.groupUpdate,
		p.groupNetworks, p.groupAZs, p.groupMigratedFrom, p.groupInstances,
	} {
		if err := part(r, &g); err != nil {
			return g, err
		}
	}
	return g, p.checkVM(&g)
}

func (p *parser) groupDisk(r *reader, g *InstanceGroup) error {
	size, kind := r.integerOr("persistent_disk", 0), r.strOr("persistent_disk_type", "")
	if r.err != nil {
		return r.err
	}
	given := 0
	for _, key := range []string{"persistent_disk", "persistent_disk_type", "persistent_disks"} {
		if r.has(key) {
			given++
		}
	}
	switch {
	case r.has("persistent_disk_pool"):
		return faultf(CodeV1DeprecatedDiskPools, "`persistent_disk_pool` is not supported as an `instance_groups` key. Please use `persistent_disk_type` instead.")
	case given > 1:
		return faultf(CodeGroupInvalidPersistentDisk, "Instance group '%s' specifies more than one of the following keys: "+
			"'persistent_disk', 'persistent_disk_type', and 'persistent_disks'. Choose one.", g.Name)
	case r.has("persistent_disks"):
		return faultf(CodeGroupInvalidPersistentDisk, "Instance group '%s' specifies 'persistent_disks', which the local director cannot provide; use 'persistent_disk_type'", g.Name)
	case size < 0:
		return faultf(CodeGroupInvalidPersistentDisk, "Instance group '%s' references an invalid persistent disk size '%d'", g.Name, size)
	case size > 0:
		g.PersistentDisk = &PersistentDisk{SizeMiB: size}
	case r.has("persistent_disk_type"):
		t, ok := p.cloud.DiskType(kind)
		if !ok {
			return faultf(CodeGroupUnknownDiskType, "Instance group '%s' references an unknown disk type '%s'", g.Name, kind)
		}
		if t.SizeMiB > 0 {
			g.PersistentDisk = &PersistentDisk{Type: t.Name, SizeMiB: t.SizeMiB, CloudProperties: t.CloudProperties}
		}
	}
	return nil
}

func (p *parser) groupStemcell(r *reader, g *InstanceGroup) error {
	g.Stemcell = r.str("stemcell")
	if r.err != nil {
		return r.err
	}
	if _, ok := p.m.Stemcell(g.Stemcell); !ok {
		return faultf(CodeGroupUnknownStemcell, "Instance group '%s' references an unknown stemcell '%s'", g.Name, g.Stemcell)
	}
	return nil
}

func (p *parser) groupVM(r *reader, g *InstanceGroup) error {
	if r.has("resource_pool") {
		return faultf(CodeV1DeprecatedResourcePool, "Instance groups no longer support resource_pool, please use 'vm_type' or 'vm_resources' keys")
	}
	g.VMType = r.strOr("vm_type", "")
	resources, err := parseVMResources(r)
	if r.err != nil {
		return r.err
	}
	g.VMResources = resources
	switch hasType, hasResources := r.has("vm_type"), r.has("vm_resources"); {
	case !hasType && !hasResources:
		return faultf(CodeGroupBadVMConfiguration, "Instance group '%s' is missing either 'vm_type' or 'vm_resources' section.", g.Name)
	case hasType && hasResources:
		return faultf(CodeGroupBadVMConfiguration, "Instance group '%s' can only specify 'vm_type' or 'vm_resources' keys.", g.Name)
	case hasType:
		if _, ok := p.cloud.VMType(g.VMType); !ok {
			return faultf(CodeGroupUnknownVMType, "Instance group '%s' references an unknown vm type '%s'", g.Name, g.VMType)
		}
	}
	if err != nil {
		return err
	}
	g.VMExtensions = r.strings("vm_extensions")
	if r.err != nil {
		return r.err
	}
	for _, e := range g.VMExtensions {
		if _, ok := p.cloud.VMExtension(e); !ok {
			return faultf(CodeUnknown, "Instance group '%s' references an unknown vm extension '%s'", g.Name, e)
		}
	}
	g.Env = plainMap(r.hashOr("env"))
	return r.err
}

// checkVM refuses cloud properties that only together, with those of the
// zones, make no VM.
func (p *parser) checkVM(g *InstanceGroup) error {
	for _, az := range append([]string{""}, g.AZs...) {
		if _, err := p.cloud.groupVM(g, az); err != nil {
			return err
		}
	}
	return nil
}

// groupVM is what a VM of the group in a zone has.
func (c *CloudConfig) groupVM(g *InstanceGroup, az string) (CloudProperties, error) {
	if g.VMResources != nil {
		return *g.VMResources, nil
	}
	return c.VM(az, g.VMType, g.VMExtensions)
}

func (p *parser) groupUpdate(r *reader, g *InstanceGroup) (err error) {
	spec := r.hashOr("update")
	if r.err != nil {
		return r.err
	}
	if spec == nil {
		spec = psych.NewHash(0)
	}
	g.Update, err = parseUpdate(spec, &p.m.Update, p.opts)
	return err
}

func (p *parser) groupAZs(r *reader, g *InstanceGroup) error {
	azs := r.listOr("azs")
	if r.err != nil {
		return r.err
	}
	var wanted []string
	for _, az := range azs {
		name, ok := open(az).(string)
		if !ok {
			return faultf(CodeJobInvalidAZ, "Instance group '%s' has invalid availability zone '%s', string expected", g.Name, inspect(az))
		}
		if !slices.Contains(wanted, name) {
			wanted = append(wanted, name)
		}
	}
	for _, n := range g.Networks {
		network, _ := p.cloud.Network(n.Name)
		if !network.covers(wanted) {
			return faultf(CodeJobNetworkMissingRequiredAZ,
				"Instance group '%s' must specify availability zone that matches availability zones of network '%s'", g.Name, n.Name)
		}
	}
	if r.has("azs") && len(wanted) == 0 {
		return faultf(CodeJobMissingAZs, "Instance group '%s' has empty availability zones", g.Name)
	}
	for _, name := range wanted {
		if _, ok := p.cloud.AZ(name); !ok {
			return faultf(CodeJobUnknownAZ, "Instance group '%s' references unknown availability zone '%s'", g.Name, name)
		}
	}
	g.AZs = wanted
	return nil
}

func (p *parser) groupMigratedFrom(r *reader, g *InstanceGroup) error {
	for _, spec := range r.listOr("migrated_from") {
		from := read(spec)
		m := MigratedFrom{Name: from.str("name"), AZ: from.strOr("az", "")}
		if from.err != nil {
			return from.err
		}
		if m.AZ != "" && !slices.Contains(g.AZs, m.AZ) {
			return faultf(CodeInvalidMigratedFromJob, "Instance group '%s' specified for migration to instance group '%s' refers to availability zone '%s'. "+
				"Az '%s' is not in the list of availability zones of instance group '%s'.", m.Name, g.Name, m.AZ, m.AZ, g.Name)
		}
		g.MigratedFrom = append(g.MigratedFrom, m)
	}
	return r.err
}

func (p *parser) groupInstances(r *reader, g *InstanceGroup) (err error) {
	g.Instances = r.integer("instances")
	if r.err != nil {
		return r.err
	}
	switch {
	case g.Instances < 0:
		return faultf(CodeValidationViolatedMin, "'instances' value (%d) should be greater than 0", g.Instances)
	case g.Instances > maxInstances:
		return faultf(CodeValidationViolatedMax, "'instances' value (%d) should be less than %d", g.Instances, maxInstances)
	}
	for _, n := range g.Networks {
		if n.static() && len(n.StaticIPs) != g.Instances {
			return faultf(CodeNetworkInstanceIPMismatch, "Instance group '%s' has %d instances but was allocated %d static IPs in network '%s'",
				g.Name, g.Instances, len(n.StaticIPs), n.Name)
		}
	}
	g.Tags, err = parseTags(r)
	return err
}
