package manifest_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
)

const cloudText = `
azs: [{name: z1}, {name: z2, cloud_properties: {memory: 300}}]
vm_types:
- {name: default}
- {name: small, cloud_properties: {memory: 256, cpu: 0.5, ephemeral_disk: 1024, instance_type: t2.nano}}
vm_extensions: [{name: big-disk, cloud_properties: {ephemeral_disk: 9000}}]
disk_types: [{name: default, disk_size: 1024}, {name: none, disk_size: 0}]
networks:
- name: default
  type: manual
  subnets:
  - range: 10.244.0.0/24
    gateway: 10.244.0.1
    azs: [z1, z2]
    dns: [10.244.0.1]
    reserved: [10.244.0.2-10.244.0.9]
    static: [10.244.0.10-10.244.0.30]
- name: second
  subnets:
  - {range: 10.245.1.0/28, gateway: 10.245.1.1, az: z1, static: [10.245.1.2, 10.245.1.3]}
  - {range: 10.245.2.0/28, gateway: 10.245.2.1, az: z2, static: 10.245.2.2-10.245.2.3}
- name: nozone
  subnets: [{range: 10.246.0.0/28, gateway: 10.246.0.1, static: [10.246.0.8/30]}]
compilation: {workers: 2, network: default, az: z1, vm_type: small, reuse_compilation_vms: true}
`

func parseCloud(t *testing.T, text string) *manifest.CloudConfig {
	t.Helper()
	c, err := manifest.ParseCloudConfig(readConfig(t, text))
	if err != nil {
		t.Fatalf("parse cloud config: %v", err)
	}
	return c
}

func TestCloudConfig(t *testing.T) {
	c := parseCloud(t, cloudText)
	if len(c.AZs) != 2 || len(c.VMTypes) != 2 || len(c.DiskTypes) != 2 || len(c.Networks) != 3 {
		t.Errorf("got %+v", c)
	}
	n, _ := c.Network("second")
	if got := n.AZs(); !reflect.DeepEqual(got, []string{"z1", "z2"}) {
		t.Errorf("got zones %v", got)
	}
	if got := n.Subnets[1].Static[0]; got.First.String() != "10.245.2.2" || got.Last.String() != "10.245.2.3" {
		t.Errorf("got static range %v", got)
	}
	p := c.Compilation
	if p.Workers != 2 || !p.ReuseCompilationVMs || p.VM != (manifest.CloudProperties{MemoryMiB: 256, CPUs: 0.5, EphemeralDiskMiB: 1024}) {
		t.Errorf("got compilation %+v", p)
	}
	parseCloud(t, string(testdata(t, "cloud-config.yml")))
}

func TestVMsMergeCloudProperties(t *testing.T) {
	c := parseCloud(t, cloudText)
	cases := []struct {
		az, kind   string
		extensions []string
		want       manifest.CloudProperties
	}{
		{"z1", "default", nil, manifest.CloudProperties{MemoryMiB: manifest.DefaultMemoryMiB, CPUs: manifest.DefaultCPUs, EphemeralDiskMiB: manifest.DefaultEphemeralDiskMiB}},
		{"z2", "default", nil, manifest.CloudProperties{MemoryMiB: 300, CPUs: manifest.DefaultCPUs, EphemeralDiskMiB: manifest.DefaultEphemeralDiskMiB}},
		{"z2", "small", []string{"big-disk"}, manifest.CloudProperties{MemoryMiB: 256, CPUs: 0.5, EphemeralDiskMiB: 9000}},
	}
	for _, c2 := range cases {
		got, err := c.VM(c2.az, c2.kind, c2.extensions)
		if err != nil || got != c2.want {
			t.Errorf("%s/%s%v: got %+v, %v, want %+v", c2.az, c2.kind, c2.extensions, got, err, c2.want)
		}
	}
}

func TestCloudConfigFaults(t *testing.T) {
	replace := func(old, new string) func(string) string {
		return func(s string) string {
			if !strings.Contains(s, old) {
				panic("nothing to replace: " + old)
			}
			return strings.Replace(s, old, new, 1)
		}
	}
	cases := map[string]struct {
		edit func(string) string
		code int
		want string
	}{
		"no networks":             {func(string) string { return "{}" }, 40001, "Required property 'networks' was not specified in object ({})"},
		"empty networks":          {func(string) string { return "networks: []" }, 190008, "No networks specified"},
		"no compilation":          {replace("compilation:", "compile:"), 40001, "Required property 'compilation' was not specified in object (…"},
		"azs of a wrong type":     {replace("azs: [{name: z1}, {name: z2, cloud_properties: {memory: 300}}]", "azs: 7"), 40000, "Property 'azs' value (7) did not match the required type 'Array'"},
		"az no hash":              {replace("{name: z1}", "z1"), 40000, `Object ("z1") did not match the required type 'Hash'`},
		"az twice":                {replace("{name: z1}", "{name: z2}"), 190017, "Duplicate az name 'z2'"},
		"vm type twice":           {replace("{name: default}", "{name: small}"), 190004, "Duplicate vm type name 'small'"},
		"vm type without name":    {replace("{name: default}", "{}"), 40001, "Required property 'name' was not specified in object ({})"},
		"extension twice":         {replace("vm_extensions: [", "vm_extensions: [{name: big-disk}, "), 190005, "Duplicate vm extension name 'big-disk'"},
		"disk type twice":         {replace("{name: none, disk_size: 0}", "{name: default, disk_size: 0}"), 190013, "Duplicate disk type name 'default'"},
		"disk type negative":      {replace("disk_size: 0", "disk_size: -1"), 200001, "Disk types 'none' references an invalid persistent disk size '-1'"},
		"disk size no number":     {replace("disk_size: 1024", "disk_size: big"), 40000, `Property 'disk_size' value ("big") did not match the required type 'Integer'`},
		"memory no number":        {replace("memory: 256", "memory: 1g"), 40000, `Property 'memory' value ("1g") in cloud_properties of vm type 'small' did not match the required type 'Integer'`},
		"memory too small":        {replace("memory: 256", "memory: 1"), 40002, "Property 'memory' value (1) in cloud_properties of vm type 'small' should be at least 32 MiB"},
		"memory of a zone":        {replace("memory: 300", "memory: -1"), 40002, "Property 'memory' value (-1) in cloud_properties of az 'z2' should be at least 32 MiB"},
		"cpu no number":           {replace("cpu: 0.5", "cpu: two"), 40000, `Property 'cpu' value ("two") in cloud_properties of vm type 'small' did not match the required type 'Numeric'`},
		"cpu nothing":             {replace("cpu: 0.5", "cpu: 0"), 40005, "Property 'cpu' value (0) in cloud_properties of vm type 'small' should be a number of cores from 0.01 to 1024"},
		"cpu not a number":        {replace("cpu: 0.5", "cpu: .nan"), 40005, "Property 'cpu' value (NaN) in cloud_properties of vm type 'small'…"},
		"disk of an extension":    {replace("ephemeral_disk: 9000", "ephemeral_disk: 1.5"), 40000, "Property 'ephemeral_disk' value (1.5) in cloud_properties of vm extension 'big-disk' did not match the required type 'Integer'"},
		"network twice":           {replace("name: second", "name: Default"), 190007, "Invalid network name 'Default', canonical name already taken"},
		"network named badly":     {replace("name: second", "name: _x"), 420001, "Invalid DNS canonical name '-x', cannot start with a hyphen"},
		"dynamic network":         {replace("type: manual", "type: dynamic"), 190010, "Network 'default' has type 'dynamic', which the local director cannot provide; use type 'manual'"},
		"unknown network type":    {replace("type: manual", "type: odd"), 190010, "Invalid network type 'odd'"},
		"no range":                {replace("range: 10.246.0.0/28, ", ""), 40001, "Required property 'range' was not specified in object (…"},
		"bad range":               {replace("10.246.0.0/28", "10.246.0.0"), 160002, "Invalid network range '10.246.0.0' of network 'nozone', should be an IPv4 block such as 10.0.0.0/24"},
		"tiny range":              {replace("10.246.0.0/28", "10.246.0.0/31"), 160002, "Invalid network range '10.246.0.0/31', should include at least 2 IPs"},
		"overlap":                 {replace("10.245.2.0/28, gateway: 10.245.2.1", "10.245.1.0/24, gateway: 10.245.1.1"), 160006, "Static IP '10.245.2.2' is out of network 'second' range"},
		"real overlap":            {replace("10.245.2.0/28", "10.245.0.0/16"), 160001, "Network 'second' has overlapping subnets"},
		"gateway elsewhere":       {replace("gateway: 10.244.0.1", "gateway: 10.9.0.1"), 160003, "Invalid gateway for network 'default': must be inside the range"},
		"gateway no ip":           {replace("gateway: 10.244.0.1", "gateway: gw"), 160003, "Invalid gateway for network 'default': must be a single IP"},
		"gateway is the network":  {replace("gateway: 10.244.0.1", "gateway: 10.244.0.0"), 160003, "Invalid gateway for network 'default': can't be the network id"},
		"gateway is broadcast":    {replace("gateway: 10.244.0.1", "gateway: 10.244.0.255"), 160003, "Invalid gateway for network 'default': can't be the broadcast IP"},
		"reserved elsewhere":      {replace("10.244.0.2-10.244.0.9", "10.1.0.2-10.1.0.9"), 160005, "Reserved IP '10.1.0.2' is out of network 'default' range"},
		"reserved backwards":      {replace("10.244.0.2-10.244.0.9", "10.244.0.9-10.244.0.2"), 160010, "Invalid IP range format: 10.244.0.9-10.244.0.2"},
		"static is reserved":      {replace("10.244.0.10-10.244.0.30", "10.244.0.5-10.244.0.30"), 160006, "Static IP '10.244.0.5' is in network 'default' reserved range"},
		"static is the gateway":   {replace("10.246.0.8/30", "10.246.0.1"), 160006, "Static IP '10.246.0.1' is in network 'nozone' reserved range"},
		"static no text":          {replace("[10.246.0.8/30]", "[{a: 1}]"), 160010, `Invalid IP range format: {"a"=>1}`},
		"dns no ip":               {replace("dns: [10.244.0.1]", "dns: [8.8.8.0/24]"), 160004, "Invalid DNS for network 'default': must be a single IP"},
		"subnet az unknown":       {replace("azs: [z1, z2]", "azs: [z1, z9]"), 160007, "Network 'default' refers to an unknown availability zone 'z9'"},
		"subnet az and azs":       {replace("azs: [z1, z2]", "azs: [z1, z2]\n    az: z1"), 160008, "Network 'default' contains both 'az' and 'azs'. Choose one."},
		"subnet azs empty":        {replace("azs: [z1, z2]", "azs: []"), 160008, "Network 'default' refers to an empty 'azs' array"},
		"zones for some":          {replace("az: z2, ", ""), 140016, "Subnets on network 'second' must all either specify availability zone or not"},
		"compile nowhere":         {replace("network: default, az: z1", "network: nope, az: z1"), 120001, "Compilation config references an unknown network 'nope'"},
		"compile in no az":        {replace("network: default, az: z1", "network: default, az: z9"), 120002, "Compilation config references unknown az 'z9'. Known azs are: [z1, z2]"},
		"compile without az":      {replace("network: default, az: z1", "network: default"), 150006, "Compilation config refers to az '' but network 'default' has no matching subnet(s)."},
		"compile on nothing":      {replace("vm_type: small,", "vm_type: huge,"), 120003, "Compilation config references unknown vm type 'huge'. Known vm types are: default, small"},
		"compile with no workers": {replace("workers: 2", "workers: 0"), 40002, "'workers' value (0) should be greater than 1"},
		"compile with extension":  {replace("vm_type: small,", "vm_type: small, vm_extensions: [x],"), 120005, "Compilation config references unknown vm extension 'x'. Known vm extensions are: big-disk"},
		"compile twice defined":   {replace("vm_type: small,", "vm_type: small, cloud_properties: {memory: 100},"), 120007, "Compilation config specifies more than one of 'vm_type', 'vm_resources', or 'cloud_properties', only one is allowed."},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := manifest.ParseCloudConfig(readConfig(t, c.edit(cloudText)))
			wantFault(t, err, c.code, c.want)
		})
	}
}

func TestMergeConfigs(t *testing.T) {
	a := readConfig(t, "azs: [{name: z1}]\nnetworks: []\nignored: 1\n")
	b := readConfig(t, "azs: [{name: z2}]\ncompilation: {workers: 1}\n")
	merged, err := manifest.MergeConfigs(a, readConfig(t, "{}"), b)
	if err != nil {
		t.Fatal(err)
	}
	want := "---\nazs:\n- name: z1\n- name: z2\nvm_types: []\ndisk_types: []\nnetworks: []\nvm_extensions: []\ncompilation:\n  workers: 1\n"
	if got := string(merged.YAML()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	_, err = manifest.MergeConfigs(b, b)
	wantFault(t, err, 570000, "Cloud config 'compilation' key cannot be defined in multiple cloud configs.")
	_, err = manifest.MergeConfigs(readConfig(t, "azs: 7"))
	wantFault(t, err, 40000, "Property 'azs' value (7) did not match the required type 'Array'")
	none, err := manifest.MergeConfigs()
	if err != nil {
		t.Fatal(err)
	}
	_, err = manifest.ParseCloudConfig(none)
	wantFault(t, err, 40001, "Required property 'networks' was not specified in object ({})")
}
