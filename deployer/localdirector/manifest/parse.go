package manifest

import (
	"slices"
	"strings"
)

// Options are given with a deploy and win over the manifest.
type Options struct{ Canaries, MaxInFlight string }

// Parse checks a deployment manifest, whose placeholders are replaced already,
// against the cloud config, what was uploaded, and itself. "latest" becomes a
// version and addons join the groups that they include.
func Parse(d *Document, cloud *CloudConfig, have Available, opts Options) (*Manifest, error) {
	if err := refuseMoved(d.root); err != nil {
		return nil, err
	}
	root, err := resolveVersions(d.root, have)
	if err != nil {
		return nil, err
	}
	p := &parser{m: &Manifest{}, cloud: cloud, have: have, opts: opts, root: read(root)}
	for _, part := range []func() error{
		p.stemcells, p.properties, p.releases, p.update, p.variables, p.features, p.tags, p.groups, p.addons,
	} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	if len(p.m.Stemcells) == 0 {
		return nil, faultf(CodeInvalidResourceSpecification, "'stemcells' needs to be specified")
	}
	if err := p.checkStemcells(); err != nil {
		return nil, err
	}
	return p.m, p.checkReleases()
}

type parser struct {
	m          *Manifest
	cloud      *CloudConfig
	have       Available
	opts       Options
	root       *reader
	globals    *hash // top level `properties`
	canonicals map[string]bool
}

// refuseMoved refuses sections that belong into the cloud config, or that
// BOSH no longer knows.
func refuseMoved(root *hash) error {
	for _, key := range []string{"vm_types", "azs", "disk_types", "compilation"} {
		if root.Has(key) {
			return faultf(CodeDeploymentInvalidProperty,
				"Deployment manifest contains '%s' section, but this can only be set in a cloud-config.", key)
		}
	}
	for _, old := range []struct {
		key  string
		code int
		text string
	}{
		{"networks", CodeV1DeprecatedNetworks, "Deployment 'networks' are no longer supported. Network definitions must now be provided in a cloud-config."},
		{"disk_pools", CodeV1DeprecatedDiskPools, "disk_pools is no longer supported. Disk definitions must now be provided as disk_types in a cloud-config"},
		{"jobs", CodeV1DeprecatedJob, "Jobs are no longer supported, please use instance groups instead"},
		{"resource_pools", CodeV1DeprecatedResourcePools, "resource_pools is no longer supported. You must now define resources in a cloud-config"},
	} {
		if root.Has(old.key) {
			return faultf(old.code, "%s", old.text)
		}
	}
	return nil
}

func (p *parser) stemcells() error {
	p.m.Name = p.root.str("name")
	for _, spec := range p.root.listOr("stemcells") {
		r := read(spec)
		s := Stemcell{Alias: r.str("alias"), Name: r.strOr("name", ""), OS: r.strOr("os", ""), Version: r.str("version")}
		if r.err != nil {
			return r.err
		}
		if _, taken := p.m.Stemcell(s.Alias); taken {
			return faultf(CodeStemcellAliasAlreadyExists, "Duplicate stemcell alias '%s'", s.Alias)
		}
		if s.Name == "" && s.OS == "" {
			return faultf(CodeValidationMissingField, "Required property 'os' or 'name' was not specified in object (%s)", inspect(spec))
		}
		p.m.Stemcells = append(p.m.Stemcells, s)
	}
	return p.root.err
}

func (p *parser) properties() error {
	p.globals = p.root.hashOr("properties")
	return p.root.err
}

func (p *parser) releases() error {
	for _, spec := range p.root.list("releases") {
		r := read(spec)
		rel := Release{Name: r.str("name"), Version: r.str("version")}
		r.listOr("exported_from")
		if r.err != nil {
			return r.err
		}
		if _, taken := p.m.Release(rel.Name); taken {
			return faultf(CodeDuplicateReleaseName, "Duplicate release name '%s'", rel.Name)
		}
		p.m.Releases = append(p.m.Releases, rel)
	}
	return p.root.err
}

func (p *parser) update() (err error) {
	spec := p.root.hash("update")
	if p.root.err != nil {
		return p.root.err
	}
	p.m.Update, err = parseUpdate(spec, nil, p.opts)
	return err
}

func (p *parser) variables() (err error) {
	p.m.Variables, err = parseVariables(p.root)
	return err
}

func (p *parser) tags() (err error) {
	p.m.Tags, err = parseTags(p.root)
	return err
}

func parseTags(r *reader) (map[string]string, error) {
	h := r.hashOr("tags")
	if h == nil {
		return nil, r.err
	}
	out := make(map[string]string, len(h.Keys))
	for _, k := range h.Keys {
		switch v := open(h.Values[k]).(type) {
		case string:
			out[k] = v
		case *hash, []any:
			return nil, faultf(CodeValidationInvalidType, "Property '%s' value (%s) in tags did not match the required type 'String'", k, inspect(h.Values[k]))
		case nil:
			out[k] = ""
		default:
			out[k] = inspectScalar(v)
		}
	}
	return out, nil
}

func (p *parser) groups() error {
	p.canonicals = map[string]bool{}
	for _, spec := range p.root.listOr("instance_groups") {
		g, err := p.group(spec)
		if err != nil {
			return err
		}
		name, err := canonicalName(g.Name)
		if err != nil {
			return err
		}
		if p.canonicals[name] {
			return faultf(CodeCanonicalJobNameTaken, "Invalid instance group name '%s', canonical name already taken", g.Name)
		}
		p.canonicals[name] = true
		p.m.InstanceGroups = append(p.m.InstanceGroups, g)
	}
	if p.root.err != nil {
		return p.root.err
	}
	return p.checkMigrations()
}

// checkMigrations refuses groups that would be migrated twice, or migrated and
// kept.
func (p *parser) checkMigrations() error {
	var taken []string
	for i := range p.m.InstanceGroups {
		g := &p.m.InstanceGroups[i]
		for _, from := range g.MigratedFrom {
			if _, kept := p.m.Group(from.Name); kept && from.Name != g.Name {
				return faultf(CodeInvalidMigratedFromJob, "Failed to migrate instance group '%s' to '%s'. "+
					"A deployment can not migrate an instance group and also specify it. Please remove instance group '%s'.", from.Name, g.Name, from.Name)
			}
			if slices.Contains(taken, from.Name) {
				return faultf(CodeInvalidMigratedFromJob, "Failed to migrate instance group '%s' to '%s'. "+
					"An instance group may be migrated to only one instance group.", from.Name, g.Name)
			}
		}
		for _, from := range g.MigratedFrom {
			taken = append(taken, from.Name)
		}
	}
	return nil
}

// canonicalName is a name as DNS would have it; two that only differ in case,
// underscores and other signs are the same.
func canonicalName(name string) (string, error) {
	canonical := strings.Map(func(r rune) rune {
		switch {
		case r == '_':
			return '-'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		}
		return -1
	}, strings.ToLower(name))
	switch {
	case strings.HasPrefix(canonical, "-"):
		return "", faultf(CodeDNSInvalidCanonicalName, "Invalid DNS canonical name '%s', cannot start with a hyphen", canonical)
	case strings.HasSuffix(canonical, "-"):
		return "", faultf(CodeDNSInvalidCanonicalName, "Invalid DNS canonical name '%s', cannot end with a hyphen", canonical)
	}
	return canonical, nil
}
