package manifest

func (p *parser) features() error {
	h := p.root.hashOr("features")
	if p.root.err != nil {
		return p.root.err
	}
	f := &p.m.Features
	for _, one := range []struct {
		key  string
		into *bool
	}{
		{"use_dns_addresses", &f.UseDNSAddresses},
		{"use_link_dns_names", &f.UseLinkDNSNames},
		{"use_short_dns_addresses", &f.UseShortDNSAddresses},
		{"randomize_az_placement", &f.RandomizeAZPlacement},
		{"converge_variables", &f.ConvergeVariables},
		{"use_tmpfs_config", new(bool)},
	} {
		v, given := get(h, one.key)
		if !given {
			continue
		}
		b, ok := v.(bool)
		if !ok {
			return faultf(CodeFeaturesInvalidFormat, "Key '%s' in 'features' expected to be a boolean, but received '%s'", one.key, rubyClass(v))
		}
		*one.into = b
	}
	if f.UseLinkDNSNames {
		for _, key := range []string{"use_short_dns_addresses", "use_dns_addresses"} {
			if v, given := get(h, key); given && v == false {
				return faultf(CodeIncompatibleFeatures, "cannot enable `use_link_dns_names` when `%s` is explicitly disabled", key)
			}
		}
	}
	return nil
}
