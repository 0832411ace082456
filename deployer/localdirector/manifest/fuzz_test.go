package manifest_test

import (
	"errors"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
)

// Whatever is uploaded is answered, with a fault or a plan.
func FuzzDeploy(f *testing.F) {
	f.Add([]byte(manifestText), []byte(cloudText))
	f.Add([]byte(linksText("", "")), []byte(cloudText))
	f.Add([]byte("name: a\nreleases: []\nx: &a [*a, {<<: *a}]\n"), []byte("azs: ((x))"))
	f.Fuzz(func(t *testing.T, manifestYAML, cloudYAML []byte) {
		doc, err := manifest.Read(manifestYAML)
		if err != nil {
			mustBeFault(t, err)
			return
		}
		config, err := manifest.ReadConfig(cloudYAML)
		if err != nil {
			mustBeFault(t, err)
			return
		}
		manifest.DiffConfigs(config, doc)
		if _, err := manifest.DiffDeployments(manifest.DiffSide{Manifest: doc}, manifest.DiffSide{Manifest: doc, CloudConfigs: []*manifest.Document{config}}, uploaded, true); err != nil {
			mustBeFault(t, err)
		}
		merged, err := manifest.MergeConfigs(config)
		if err != nil {
			mustBeFault(t, err)
			return
		}
		cloud, err := manifest.ParseCloudConfig(merged)
		if err != nil {
			mustBeFault(t, err)
			return
		}
		m, err := manifest.Parse(doc, cloud, uploaded, manifest.Options{})
		if err != nil {
			mustBeFault(t, err)
			return
		}
		plan, err := manifest.Plan(manifest.PlanInput{Manifest: m, Cloud: cloud, NewID: ids()})
		if err != nil {
			mustBeFault(t, err)
			return
		}
		_, err = manifest.Links(manifest.LinksInput{Manifest: m, Plan: plan, Job: func(_, job string) (release.Job, error) { return jobs[job], nil }})
		if err != nil {
			mustBeFault(t, err)
		}
		for g := range plan.Groups {
			for i := range plan.Groups[g].Instances {
				group, _ := m.Group(plan.Groups[g].Group)
				manifest.InstanceSpec(manifest.SpecInput{Deployment: m.Name, Group: group, Instance: &plan.Groups[g].Instances[i]})
			}
		}
	})
}

func mustBeFault(t *testing.T, err error) {
	t.Helper()
	var fault *manifest.Error
	if !errors.As(err, &fault) || fault.Code == 0 || fault.Message == "" {
		t.Fatalf("not a fault: %#v", err)
	}
}
