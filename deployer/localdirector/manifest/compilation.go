package manifest

// Compilation says how packages are compiled.
type Compilation struct {
	Workers             int
	Network             string
	AZ                  string
	VMType              string
	VMExtensions        []string
	VM                  CloudProperties
	ReuseCompilationVMs bool
	OrphanWorkers       bool
	Env                 map[string]any
}

func (c *CloudConfig) parseCompilation(root *reader) error {
	r := read(root.hash("compilation"))
	if root.err != nil {
		return root.err
	}
	p := Compilation{
		Workers:             r.integer("workers"),
		Network:             r.str("network"),
		OrphanWorkers:       r.boolOr("orphan_workers", false),
		ReuseCompilationVMs: r.boolOr("reuse_compilation_vms", false),
	}
	properties := plainMap(r.hashOr("cloud_properties"))
	p.Env = plainMap(r.hashOr("env"))
	p.AZ, p.VMType = r.strOr("az", ""), r.strOr("vm_type", "")
	resources, err := parseVMResources(r)
	p.VMExtensions = r.strings("vm_extensions")
	if r.err == nil {
		r.err = err
	}
	if r.err != nil {
		return r.err
	}
	if p.Workers < 1 {
		return faultf(CodeValidationViolatedMin, "'workers' value (%d) should be greater than 1", p.Workers)
	}
	if err := c.checkCompilation(&p); err != nil {
		return err
	}
	given := 0
	for _, is := range []bool{p.VMType != "", resources != nil, len(properties) > 0} {
		if is {
			given++
		}
	}
	switch {
	case given > 1:
		return faultf(CodeCompilationBadVMConfiguration, "Compilation config specifies more than one of 'vm_type', 'vm_resources', or 'cloud_properties', only one is allowed.")
	case resources != nil:
		p.VM = *resources
	case len(properties) > 0:
		p.VM, err = cloudProperties("compilation", properties)
	default:
		p.VM, err = c.VM(p.AZ, p.VMType, p.VMExtensions)
	}
	c.Compilation = p
	return err
}

func (c *CloudConfig) checkCompilation(p *Compilation) error {
	if _, ok := c.AZ(p.AZ); !ok && p.AZ != "" {
		return faultf(CodeCompilationInvalidAZ, "Compilation config references unknown az '%s'. Known azs are: [%s]",
			p.AZ, names(c.AZs, func(az *AZ) string { return az.Name }))
	}
	if _, ok := c.VMType(p.VMType); !ok && p.VMType != "" {
		return faultf(CodeCompilationInvalidVMType, "Compilation config references unknown vm type '%s'. Known vm types are: %s",
			p.VMType, names(c.VMTypes, func(t *VMType) string { return t.Name }))
	}
	for _, e := range p.VMExtensions {
		if _, ok := c.VMExtension(e); !ok {
			return faultf(CodeCompilationInvalidExtension, "Compilation config references unknown vm extension '%s'. Known vm extensions are: %s",
				e, names(c.VMExtensions, func(t *VMType) string { return t.Name }))
		}
		if p.VMType == "" {
			return faultf(CodeCompilationBadVMConfiguration, "Compilation config is using vm extension '%s' and must configure a vm type or vm_resources block.", e)
		}
	}
	n, ok := c.Network(p.Network)
	if !ok {
		return faultf(CodeCompilationUnknownNetwork, "Compilation config references an unknown network '%s'", p.Network)
	}
	var azs []string
	if p.AZ != "" {
		azs = []string{p.AZ}
	}
	if !n.covers(azs) {
		return faultf(CodeJobNetworkMissingRequiredAZ, "Compilation config refers to az '%s' but network '%s' has no matching subnet(s).", p.AZ, n.Name)
	}
	return nil
}

// parseVMResources reads `vm_resources`, which ask for a VM without a vm_type;
// nil when there are none.
func parseVMResources(parent *reader) (*CloudProperties, error) {
	h := parent.hashOr("vm_resources")
	if h == nil {
		return nil, parent.err
	}
	r := read(h)
	given := map[string]any{"cpu": r.integer("cpu"), "memory": r.integer("ram"), "ephemeral_disk": r.integer("ephemeral_disk_size")}
	if r.err != nil {
		return nil, r.err
	}
	p, err := cloudProperties("vm_resources", given)
	return &p, err
}
