package operation

import (
	"context"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// ChangeState brings instances into a state and converges the rest of the
// deployment on its manifest, as a deploy would. Instances keep the state in
// later deploys. Faults: 70000, 70001, 190020, 440001 before the first
// successful deploy, and those of Deploy.
func (d *Director) ChangeState(ctx context.Context, run *task.Run, r StateRequest) (string, error) {
	r.Group, r.IndexOrID = allIfStar(r.Group), allIfStar(r.IndexOrID)
	return locked(ctx, run, r.Deployment, func() (string, error) {
		dep, document, err := d.deployedManifest(ctx, r.Deployment)
		if err != nil {
			return "", err
		}
		text := dep.Manifest
		if len(r.Manifest) > 0 {
			text = string(r.Manifest)
			if document, err = manifest.Read(r.Manifest); err != nil {
				return "", err
			}
		}
		if err := d.checkTarget(ctx, r.Deployment, r.Group, r.IndexOrID); err != nil {
			return "", err
		}
		g := goal{
			deployment: r.Deployment, document: document, cloudIDs: dep.CloudConfigIDs, fix: r.Fix, dryRun: r.DryRun,
			options: manifest.Options{Canaries: r.Canaries, MaxInFlight: r.MaxInFlight},
			state: func(row db.Instance) string {
				if row.Lifecycle != "errand" && matches(row, r.Group, r.IndexOrID) {
					return r.State
				}
				return ""
			},
		}
		if r.SkipDrain {
			g.skipDrain = "*"
			if r.Group != "" {
				g.skipDrain = skipDrain(r.Group)
			}
		}
		return "/deployments/" + r.Deployment, d.auditedConverge(ctx, run, "update", g, text)
	})
}

// deployedManifest returns the manifest of the last successful deploy, with
// the versions it resolved to.
func (d *Director) deployedManifest(ctx context.Context, deployment string) (db.Deployment, *manifest.Document, error) {
	dep, err := d.db.Deployment(ctx, deployment)
	if err != nil {
		return dep, nil, deploymentNotFound(deployment, err)
	}
	if dep.ResolvedManifest == "" {
		return dep, nil, task.Errorf(codeBadManifest, "No successful BOSH deployment manifest available")
	}
	document, err := manifest.Read([]byte(dep.ResolvedManifest))
	return dep, document, err
}

// checkTarget refuses targets that do not exist or must not be changed.
func (d *Director) checkTarget(ctx context.Context, deployment, group, indexOrID string) error {
	rows, err := d.db.Instances(ctx, deployment)
	if err != nil {
		return err
	}
	found := group == ""
	for _, row := range rows {
		if !matches(row, group, indexOrID) {
			continue
		}
		found = true
		if row.Ignore && indexOrID != "" {
			return task.Errorf(codeIgnoredInstancesModified, "You are trying to change the state of the ignored instance '%s'. "+
				"This operation is not allowed. You need to unignore it first.", row.Name())
		}
	}
	if !found {
		return instanceNotFound(deployment, group, indexOrID)
	}
	return nil
}

func instanceNotFound(deployment, group, indexOrID string) error {
	name := deployment + "/" + group
	if indexOrID != "" {
		name += "/" + indexOrID
	}
	return task.Errorf(codeInstanceNotFound, "Instance '%s' doesn't exist", name)
}

func allIfStar(s string) string {
	if s == "*" {
		return ""
	}
	return s
}
