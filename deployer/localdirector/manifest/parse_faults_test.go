package manifest_test

import (
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
)

func TestManifestFaultsFromTheDirector(t *testing.T) {
	cases := map[string]struct {
		text string
		code int
		want string
	}{
		"no releases":    {"name: bad\ninstance_groups: 7\n", 40001, `Required property 'releases' was not specified in object ({"name"=>"bad", "instance_groups"=>7})`},
		"no stemcells":   {"name: demo2\nreleases: [{name: nope, version: 1}]\nstemcells: []\nupdate: {canaries: 1, max_in_flight: 1, canary_watch_time: 1000, update_watch_time: 1000}\ninstance_groups: []\n", 190019, "'stemcells' needs to be specified"},
		"unknown os":     {"name: demo3\nreleases: []\nstemcells: [{alias: default, os: other-os, version: latest}]\n", 50003, "Stemcell with Operating System 'other-os' doesn't exist"},
		"own networks":   {"name: a\nnetworks: []\n", 140026, "Deployment 'networks' are no longer supported. Network definitions must now be provided in a cloud-config."},
		"own vm types":   {"name: a\nvm_types: []\n", 190014, "Deployment manifest contains 'vm_types' section, but this can only be set in a cloud-config."},
		"jobs":           {"name: a\njobs: []\n", 140023, "Jobs are no longer supported, please use instance groups instead"},
		"release absent": {"name: a\nreleases: [{name: nope, version: latest}]\n", 30005, "Release 'nope' doesn't exist"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := manifest.Parse(readManifest(t, c.text), parseCloud(t, cloudText), uploaded, manifest.Options{})
			wantFault(t, err, c.code, c.want)
		})
	}
}

func TestManifestFaults(t *testing.T) {
	cases := map[string]struct {
		old, new string
		code     int
		want     string
	}{
		"stemcell twice":          {"stemcells: [", "stemcells: [{alias: default, os: rig-os, version: 1.0}, ", 50005, "Duplicate stemcell alias 'default'"},
		"stemcell without os":     {"os: rig-os, version: latest", "version: 1.1", 40001, `Required property 'os' or 'name' was not specified in object ({"alias"=>"default", "version"=>"1.1"})`},
		"stemcell version":        {"os: rig-os, version: latest", "os: rig-os, version: 9", 50003, "Stemcell version '9' for OS 'rig-os' doesn't exist"},
		"stemcell by name":        {"os: rig-os, version: latest", "name: s, version: 9", 50003, "Stemcell 's/9' doesn't exist"},
		"stemcell without alias":  {"alias: default, os", "os", 40001, "Required property 'alias' was not specified in object (…"},
		"stemcell prefix":         {"os: rig-os, version: latest", "os: rig-os, version: 7.latest", 50003, "Stemcell with Operating System 'rig-os' exists, but version with prefix '7' not found."},
		"release twice":           {"releases: [", "releases: [{name: hello, version: 1.0.0}, ", 190002, "Duplicate release name 'hello'"},
		"release version":         {"{name: hello, version: latest}", "{name: hello, version: 9}", 30006, "Release version 'hello/9' doesn't exist"},
		"release unused":          {"releases: [", "releases: [{name: gone, version: 1}, ", 30005, "Release 'gone' doesn't exist"},
		"release without version": {"{name: hello, version: latest}", "{name: hello}", 40001, `Required property 'version' was not specified in object ({"name"=>"hello"})`},
		"update absent":           {"update: {canaries: 1, max_in_flight: 50%", "x: {y: 1", 40001, "Required property 'update' was not specified in object (…"},
		"update no canaries":      {"canaries: 1, ", "", 40001, "Required property 'canaries' was not specified in object (…"},
		"canaries text":           {"canaries: 1", "canaries: some", 40005, `Property 'canaries' value ("some") should be a number or a percentage`},
		"in flight negative":      {"max_in_flight: 3", "max_in_flight: -3", 40005, `Property 'max_in_flight' value ("-3") should be a number or a percentage`},
		"watch time text":         {"1000-30000", "soon", 180001, "Watch time should be an integer or a range of two integers"},
		"watch time backwards":    {"1000-30000", "3000-100", 180001, "Min watch time cannot be greater than max watch time"},
		"strategy":                {"serial: false", "vm_strategy: odd", 40005, "Invalid vm_strategy 'odd', valid strategies are: create-swap-delete, delete-create"},
		"az strategy":             {"serial: false", "initial_deploy_az_update_strategy: odd", 40005, "Invalid initial_deploy_az_update_strategy 'odd', valid strategies are: 'parallel, serial'"},
		"serial text":             {"serial: false", "serial: 'false'", 40000, `Property 'serial' value ("false") did not match the required type 'boolean'`},
		"feature":                 {"converge_variables: true", "converge_variables: 1", 560001, "Key 'converge_variables' in 'features' expected to be a boolean, but received 'Integer'"},
		"features at odds":        {"converge_variables: true", "use_link_dns_names: true, use_dns_addresses: false", 210001, "cannot enable `use_link_dns_names` when `use_dns_addresses` is explicitly disabled"},
		"tag":                     {"cost: 7", "cost: [7]", 40000, "Property 'cost' value ([7]) in tags did not match the required type 'String'"},
		"groups no list":          {"instance_groups:\n", "instance_groups: {}\nold:\n", 40000, "Property 'instance_groups' value ({}) did not match the required type 'Array'"},
		"group twice":             {"name: smoke\n", "name: WEB\n", 190006, "Invalid instance group name 'WEB', canonical name already taken"},
		"group name":              {"name: smoke\n", "name: smoke_\n", 420001, "Invalid DNS canonical name 'smoke-', cannot end with a hyphen"},
		"lifecycle":               {"lifecycle: errand", "lifecycle: often", 140011, "Invalid lifecycle 'often' for 'smoke', valid lifecycle profiles are: service, errand"},
		"templates":               {"lifecycle: errand", "templates: []", 140024, "Instance group 'smoke' specifies template or templates. This is no longer supported, please use jobs instead"},
		"no jobs":                 {"  jobs: [{name: smoke, release: hello}]", "", 40001, "Instance group 'smoke' does not specify jobs key"},
		"job's release":           {"{name: smoke, release: hello}", "{name: smoke, release: x}", 140002, "Job 'smoke' (instance group 'smoke') references an unknown release 'x'"},
		"job not in release":      {"{name: smoke, release: hello}", "{name: nope, release: hello}", 140029, "Job 'nope' not found in release 'hello'"},
		"job twice":               {"{name: smoke, release: hello}", "{name: smoke, release: hello}, {name: smoke, release: hello}", 140010, "Colocated job 'smoke' is already added to the instance group 'smoke'"},
		"job's properties":        {"properties: {greeting: hi}", "properties: [pw]", 40000, `Property 'properties' value ("<redacted>") did not match the required type 'Hash'`},
		"disk twice":              {"persistent_disk: 100", "persistent_disk: 100\n  persistent_disk_type: default", 140013, "Instance group 'smoke' specifies more than one of the following keys: 'persistent_disk', 'persistent_disk_type', and 'persistent_disks'. Choose one."},
		"disk negative":           {"persistent_disk: 100", "persistent_disk: -1", 140013, "Instance group 'smoke' references an invalid persistent disk size '-1'"},
		"disks":                   {"persistent_disk: 100", "persistent_disks: []", 140013, "Instance group 'smoke' specifies 'persistent_disks', which the local director cannot provide; use 'persistent_disk_type'"},
		"disk pool":               {"persistent_disk: 100", "persistent_disk_pool: a", 140027, "`persistent_disk_pool` is not supported as an `instance_groups` key. Please use `persistent_disk_type` instead."},
		"disk type":               {"persistent_disk_type: default", "persistent_disk_type: huge", 140012, "Instance group 'web' references an unknown disk type 'huge'"},
		"stemcell alias":          {"stemcell: default\n  persistent_disk: 100", "stemcell: nope", 140005, "Instance group 'smoke' references an unknown stemcell 'nope'"},
		"vm type":                 {"vm_type: small", "vm_type: huge", 140004, "Instance group 'web' references an unknown vm type 'huge'"},
		"no vm":                   {"  vm_type: small\n", "", 140022, "Instance group 'web' is missing either 'vm_type' or 'vm_resources' section."},
		"two vms":                 {"vm_type: small", "vm_type: small\n  vm_resources: {cpu: 1, ram: 128, ephemeral_disk_size: 128}", 140022, "Instance group 'web' can only specify 'vm_type' or 'vm_resources' keys."},
		"vm resources":            {"ram: 2048, ", "", 40001, `Required property 'ram' was not specified in object ({"cpu"=>2, "ephemeral_disk_size"=>4096})`},
		"vm extension":            {"[big-disk]", "[fast]", 100, "Instance group 'web' references an unknown vm extension 'fast'"},
		"resource pool":           {"vm_type: small", "resource_pool: a", 140025, "Instance groups no longer support resource_pool, please use 'vm_type' or 'vm_resources' keys"},
		"no networks":             {"persistent_disk: 100\n  networks: [{name: default}]", "networks: []", 140009, "Instance group 'smoke' must specify at least one network"},
		"network":                 {"persistent_disk: 100\n  networks: [{name: default}]", "networks: [{name: nope}]", 150001, "Instance group 'smoke' references an unknown network 'nope'"},
		"network twice":           {"persistent_disk: 100\n  networks: [{name: default}]", "networks: [{name: default}, {name: default}]", 150001, "Instance group 'smoke' references network 'default' more than once"},
		"default":                 {"persistent_disk: 100\n  networks: [{name: default}]", "networks: [{name: default, default: [x]}]", 150003, "Instance group 'smoke' specified an invalid default network property 'x', valid properties are: dns, gateway"},
		"two defaults":            {"persistent_disk: 100\n  networks: [{name: default}]", "networks: [{name: default, default: [dns, gateway]}, {name: second, default: [dns]}]", 150004, "Instance group 'smoke' specified more than one network to contain default. 'dns' has default networks: 'default', 'second'."},
		"no default":              {"persistent_disk: 100\n  networks: [{name: default}]", "networks: [{name: default}, {name: second, default: [dns]}]", 150005, "Instance group 'smoke' must specify which network is default for gateway, since it has more than one network configured"},
		"static ips":              {"persistent_disk: 100\n  networks: [{name: default}]", "networks: [{name: default, static_ips: [10.244.0.10, 10.244.0.11]}]", 150002, "Instance group 'smoke' has 1 instances but was allocated 2 static IPs in network 'default'"},
		"static ip twice":         {"persistent_disk: 100\n  networks: [{name: default}]", "networks: [{name: default, static_ips: [10.244.0.10, 10.244.0.9-10.244.0.10]}]", 150002, "Instance group 'smoke' with network 'default' declares static ip '10.244.0.9', which belongs to no subnet"},
		"static ip doubled":       {"persistent_disk: 100\n  networks: [{name: default}]", "networks: [{name: default, static_ips: [10.244.0.10, 10.244.0.10]}]", 150009, "Instance group 'smoke' specifies static IP '10.244.0.10' more than once"},
		"static ip not static":    {"persistent_disk: 100\n  networks: [{name: default}]", "networks: [{name: default, static_ips: [10.244.0.99]}]", 150002, "Instance group 'smoke' with network 'default' declares static ip '10.244.0.99', which belongs to no subnet"},
		"az":                      {"azs: [z1, z2]", "azs: [z1, z3]", 150006, "Instance group 'web' must specify availability zone that matches availability zones of network 'default'"},
		"azs empty":               {"azs: [z1, z2]", "azs: []", 150006, "Instance group 'web' must specify availability zone that matches availability zones of network 'default'"},
		"az no text":              {"azs: [z1, z2]", "azs: [1]", 140016, "Instance group 'web' has invalid availability zone '1', string expected"},
		"migrated az":             {"name: old-web, az: z1", "name: old-web, az: z3", 190018, "Instance group 'old-web' specified for migration to instance group 'web' refers to availability zone 'z3'. Az 'z3' is not in the list of availability zones of instance group 'web'."},
		"migrated and kept":       {"name: old-web, az: z1", "name: smoke", 190018, "Failed to migrate instance group 'smoke' to 'web'. A deployment can not migrate an instance group and also specify it. Please remove instance group 'smoke'."},
		"instances text":          {"instances: 4", "instances: four", 40000, `Property 'instances' value ("four") did not match the required type 'Integer'`},
		"instances negative":      {"instances: 4", "instances: -4", 40002, "'instances' value (-4) should be greater than 0"},
		"instances absurd":        {"instances: 4", "instances: 400000000", 40003, "'instances' value (400000000) should be less than 10000"},
		"instances absent":        {"  instances: 4\n", "", 40001, "Required property 'instances' was not specified in object (…"},
		"provide":                 {"admin: nil", "admin: 7", 100, "Provider 'admin' in job 'web' in instance group 'web' specified in the manifest should only be a hash or string 'nil'"},
		"provide type":            {"admin: nil", "admin: {type: x}", 100, "Cannot specify 'name' or 'type' properties in the manifest for link 'admin' in job 'web' in instance group 'web'. Please provide these keys in the release only."},
		"consume":                 {"cache: nil", "cache: ~", 100, "Consumer 'cache' in job 'web' in instance group 'web' specified in the manifest should only be a hash or string 'nil'"},
		"consume two ways":        {"cache: nil", "cache: {from: a, properties: {}, ip_addresses: 3, name: x}", 100, "Cannot specify both 'properties' and 'from' keys for link 'cache' in job 'web' in instance group 'web'.\nCannot specify 'properties' without 'instances' for link 'cache' in job 'web' in instance group 'web'.\nCannot specify non boolean values for 'ip_addresses' field for link 'cache' in job 'web' in instance group 'web'.\nCannot specify 'name' or 'type' properties in the manifest for link 'cache' in job 'web' in instance group 'web'. Please provide these keys in the release only."},
		"variable twice":          {"variables: [", "variables: [{name: pw, type: rsa}, ", 560000, "Some of the variables have duplicate names, eg: 'pw'"},
		"variable no type":        {"name: pw, type: password", "name: pw", 560000, "Type for variable 'pw' is missing; 'type' must be specified"},
		"variable no name":        {"name: pw, type: password", "type: password", 560000, "At least one of the variables is missing the 'name' key; 'name' must be specified"},
		"variable mode":           {"name: pw, type: password", "name: pw, type: password, update_mode: odd", 560000, "Update mode 'odd' for variable 'pw' is none of: no-overwrite, overwrite, converge"},
		"variable options":        {"name: pw, type: password", "name: pw, type: password, options: 7", 560000, "options of variable with name 'pw' is not a Hash"},
		"variable consumes":       {"name: pw, type: password", "name: pw, type: certificate, consumes: {alternative_name: {from: a}}", 560000, "Variable 'pw' consumes links, for which the local director has no DNS names; give 'alternative_names' in its options"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(manifestText, c.old) {
				t.Fatalf("nothing to replace: %q", c.old)
			}
			_, err := manifest.Parse(readManifest(t, strings.Replace(manifestText, c.old, c.new, 1)), parseCloud(t, cloudText), uploaded, manifest.Options{})
			wantFault(t, err, c.code, c.want)
		})
	}
}
