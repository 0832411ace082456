package manifest

import (
	"slices"
	"strings"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/psych"
)

// CloudConfig is a checked cloud config.
type CloudConfig struct {
	AZs          []AZ
	VMTypes      []VMType
	VMExtensions []VMType
	DiskTypes    []DiskType
	Networks     []Network
	Compilation  Compilation
}

// AZ is an availability zone.
type AZ struct {
	Name            string
	CloudProperties map[string]any
}

// VMType is a vm_type or a vm_extension: a name for cloud properties.
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

// ParseCloudConfig checks a cloud config, whole as MergeConfigs makes it.
func ParseCloudConfig(d *Document) (*CloudConfig, error) {
	r := read(d.root)
	c := &CloudConfig{}
	for _, part := range []func(*reader) error{
		c.parseAZs, c.parseNetworks, c.parseVMTypes, c.parseVMExtensions, c.parseDiskTypes, c.parseCompilation,
	} {
		if err := part(r); err != nil {
			return nil, err
		}
	}
	return c, c.checkVMTypes()
}

// cloudLists are the lists that several cloud configs may each add to.
var cloudLists = []string{"azs", "vm_types", "disk_types", "networks", "vm_extensions"}

// MergeConfigs joins the cloud configs of different names into one: lists are
// joined, `compilation` may be given once. None at all make an empty one.
func MergeConfigs(configs ...*Document) (*Document, error) {
	out := psych.NewHash(len(cloudLists) + 1)
	for _, c := range configs {
		if len(c.root.Keys) == 0 {
			continue
		}
		r := read(c.root)
		for _, key := range cloudLists {
			have, _ := get(out, key)
			list, _ := have.([]any)
			out.Set(key, slices.Concat([]any{}, list, r.listOr(key)))
		}
		compilation := r.hashOr("compilation")
		if r.err != nil {
			return nil, r.err
		}
		if compilation == nil {
			continue
		}
		if out.Has("compilation") {
			return nil, faultf(CodeCloudConfigMerge, "Cloud config 'compilation' key cannot be defined in multiple cloud configs.")
		}
		out.Set("compilation", compilation)
	}
	return &Document{root: out}, nil
}

func (c *CloudConfig) parseAZs(root *reader) error {
	for _, spec := range root.listOr("azs") {
		r := read(spec)
		az := AZ{Name: r.str("name"), CloudProperties: plainMap(r.hashOr("cloud_properties"))}
		r.strOr("cpi", "")
		if r.err != nil {
			return r.err
		}
		if _, taken := c.AZ(az.Name); taken {
			return faultf(CodeDuplicateAZName, "Duplicate az name '%s'", az.Name)
		}
		c.AZs = append(c.AZs, az)
	}
	return root.err
}

func (c *CloudConfig) parseVMTypes(root *reader) (err error) {
	c.VMTypes, err = parseVMTypes(root, "vm_types", CodeDuplicateVMTypeName, "Duplicate vm type name '%s'")
	return err
}

func (c *CloudConfig) parseVMExtensions(root *reader) (err error) {
	c.VMExtensions, err = parseVMTypes(root, "vm_extensions", CodeDuplicateVMExtensionName, "Duplicate vm extension name '%s'")
	return err
}

func parseVMTypes(root *reader, key string, duplicateCode int, duplicate string) ([]VMType, error) {
	var out []VMType
	for _, spec := range root.listOr(key) {
		r := read(spec)
		t := VMType{Name: r.str("name"), CloudProperties: plainMap(r.hashOr("cloud_properties"))}
		if r.err != nil {
			return nil, r.err
		}
		if slices.ContainsFunc(out, func(o VMType) bool { return o.Name == t.Name }) {
			return nil, faultf(duplicateCode, duplicate, t.Name)
		}
		out = append(out, t)
	}
	return out, root.err
}

func (c *CloudConfig) parseDiskTypes(root *reader) error {
	for _, spec := range root.listOr("disk_types") {
		r := read(spec)
		t := DiskType{Name: r.str("name"), SizeMiB: r.integer("disk_size"), CloudProperties: plainMap(r.hashOr("cloud_properties"))}
		if r.err != nil {
			return r.err
		}
		if t.SizeMiB < 0 {
			return faultf(CodeDiskTypeInvalidDiskSize, "Disk types '%s' references an invalid persistent disk size '%d'", t.Name, t.SizeMiB)
		}
		if _, taken := c.DiskType(t.Name); taken {
			return faultf(CodeDuplicateDiskTypeName, "Duplicate disk type name '%s'", t.Name)
		}
		c.DiskTypes = append(c.DiskTypes, t)
	}
	return root.err
}

// AZ returns the availability zone of that name.
func (c *CloudConfig) AZ(name string) (*AZ, bool) {
	return find(c.AZs, func(az *AZ) bool { return az.Name == name })
}

// VMType returns the vm_type of that name.
func (c *CloudConfig) VMType(name string) (*VMType, bool) {
	return find(c.VMTypes, func(t *VMType) bool { return t.Name == name })
}

// VMExtension returns the vm_extension of that name.
func (c *CloudConfig) VMExtension(name string) (*VMType, bool) {
	return find(c.VMExtensions, func(t *VMType) bool { return t.Name == name })
}

// DiskType returns the disk_type of that name.
func (c *CloudConfig) DiskType(name string) (*DiskType, bool) {
	return find(c.DiskTypes, func(t *DiskType) bool { return t.Name == name })
}

// Network returns the network of that name.
func (c *CloudConfig) Network(name string) (*Network, bool) {
	return find(c.Networks, func(n *Network) bool { return n.Name == name })
}

func find[T any](list []T, is func(*T) bool) (*T, bool) {
	for i := range list {
		if is(&list[i]) {
			return &list[i], true
		}
	}
	return nil, false
}

func names[T any](list []T, name func(*T) string) string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = name(&list[i])
	}
	return strings.Join(out, ", ")
}
