package manifest_test

import (
	"encoding/json"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
)

func TestInstanceSpec(t *testing.T) {
	cloud := parseCloud(t, cloudText)
	m := group(t, cloud, "instances: 1, azs: [z1], persistent_disk: 77, networks: [{name: default, default: [dns, gateway]}, {name: second, default: [addressable]}]")
	plan, err := manifest.Plan(manifest.PlanInput{Manifest: m, Cloud: cloud, NewID: ids()})
	if err != nil {
		t.Fatal(err)
	}
	spec := manifest.InstanceSpec(manifest.SpecInput{
		Deployment: m.Name, Group: &m.InstanceGroups[0], Instance: &plan.Groups[0].Instances[0], Release: &m.Releases[0],
	})
	got, err := json.MarshalIndent(spec, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want := `{
 "address": "10.245.1.4",
 "az": "z1",
 "bootstrap": true,
 "deployment": "demo",
 "dns_domain_name": "bosh",
 "id": "new1",
 "index": 0,
 "ip": "10.245.1.4",
 "job": {
  "name": "web",
  "templates": []
 },
 "lifecycle": "service",
 "name": "web",
 "networks": {
  "default": {
   "cloud_properties": {},
   "default": [
    "dns",
    "gateway"
   ],
   "dns": [
    "10.244.0.1"
   ],
   "dns_record_name": "0.web.default.demo.bosh",
   "gateway": "10.244.0.1",
   "ip": "10.244.0.31",
   "netmask": "255.255.255.0",
   "prefix": "32",
   "type": "manual"
  },
  "second": {
   "cloud_properties": {},
   "default": [
    "addressable"
   ],
   "dns_record_name": "0.web.second.demo.bosh",
   "gateway": "10.245.1.1",
   "ip": "10.245.1.4",
   "netmask": "255.255.255.240",
   "prefix": "32",
   "type": "manual"
  }
 },
 "persistent_disk": 77,
 "release": {
  "name": "hello",
  "version": "1.0.0"
 }
}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
