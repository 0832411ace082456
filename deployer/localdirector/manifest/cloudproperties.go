package manifest

import (
	"maps"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/psych"
)

// CloudProperties are those a VM of the local director understands.
type CloudProperties struct {
	MemoryMiB        int     // "memory"
	CPUs             float64 // "cpu": cores, 0.5 is half of one
	EphemeralDiskMiB int     // "ephemeral_disk"
}

// What a VM has when its vm_type does not say.
const (
	DefaultMemoryMiB        = 512
	DefaultCPUs             = 1.0
	DefaultEphemeralDiskMiB = 4096
)

// Below these a VM cannot even run the agent.
const (
	minMemoryMiB        = 32
	minCPUs             = 0.01
	minEphemeralDiskMiB = 64
)

// VM merges the cloud properties of the zone, the type and the extensions, as
// later ones win, and checks those that the local director understands. Others
// belong to other infrastructures and are left alone.
func (c *CloudConfig) VM(az, vmType string, extensions []string) (CloudProperties, error) {
	merged := map[string]any{}
	if z, ok := c.AZ(az); ok {
		maps.Copy(merged, z.CloudProperties)
	}
	if t, ok := c.VMType(vmType); ok {
		maps.Copy(merged, t.CloudProperties)
	}
	for _, name := range extensions {
		if e, ok := c.VMExtension(name); ok {
			maps.Copy(merged, e.CloudProperties)
		}
	}
	return cloudProperties("vm type '"+vmType+"'", merged)
}

func cloudProperties(of string, given map[string]any) (CloudProperties, error) {
	out := CloudProperties{MemoryMiB: DefaultMemoryMiB, CPUs: DefaultCPUs, EphemeralDiskMiB: DefaultEphemeralDiskMiB}
	if err := wholeNumber(of, given, "memory", "MiB", minMemoryMiB, &out.MemoryMiB); err != nil {
		return out, err
	}
	if err := wholeNumber(of, given, "ephemeral_disk", "MiB", minEphemeralDiskMiB, &out.EphemeralDiskMiB); err != nil {
		return out, err
	}
	switch v := given["cpu"].(type) {
	case nil:
	case int:
		out.CPUs = float64(v)
	case psych.Float:
		out.CPUs = float64(v)
	default:
		return out, faultf(CodeValidationInvalidType, "Property 'cpu' value (%s) in cloud_properties of %s did not match the required type 'Numeric'", inspectScalar(v), of)
	}
	if !(out.CPUs >= minCPUs && out.CPUs <= 1024) {
		return out, faultf(CodeValidationInvalidValue, "Property 'cpu' value (%s) in cloud_properties of %s should be a number of cores from %v to 1024", inspectScalar(given["cpu"]), of, minCPUs)
	}
	return out, nil
}

// wholeNumber reads an integer of at least least; an absent one keeps its default.
func wholeNumber(of string, given map[string]any, key, unit string, least int, into *int) error {
	v, ok := given[key]
	if !ok || v == nil {
		return nil
	}
	n, ok := v.(int)
	if !ok {
		return faultf(CodeValidationInvalidType, "Property '%s' value (%s) in cloud_properties of %s did not match the required type 'Integer'", key, inspectScalar(v), of)
	}
	if n < least {
		return faultf(CodeValidationViolatedMin, "Property '%s' value (%d) in cloud_properties of %s should be at least %d %s", key, n, of, least, unit)
	}
	*into = n
	return nil
}

// checkVMTypes finds what is wrong with vm_types and vm_extensions before a
// deployment uses them.
func (c *CloudConfig) checkVMTypes() error {
	for _, t := range c.VMTypes {
		if _, err := cloudProperties("vm type '"+t.Name+"'", t.CloudProperties); err != nil {
			return err
		}
	}
	for _, e := range c.VMExtensions {
		if _, err := cloudProperties("vm extension '"+e.Name+"'", e.CloudProperties); err != nil {
			return err
		}
	}
	for _, az := range c.AZs {
		if _, err := cloudProperties("az '"+az.Name+"'", az.CloudProperties); err != nil {
			return err
		}
	}
	return nil
}
