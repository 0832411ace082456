package bosh

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"gopkg.in/yaml.v3"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/fault"
)

// Deployment implements deployer.Service.
func (s *Service) Deployment(ctx context.Context, name string) (deployer.Deployment, error) {
	none := deployer.Deployment{}
	if err := deployer.CheckName(name); err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	manifest, exists, err := s.remote.manifest(ctx, name)
	if err != nil {
		return none, unavailable(err)
	}
	if !exists {
		return none, fault.New(fault.NotFound, "there is no deployment %s", name)
	}
	rows, err := s.remote.instances(ctx, name)
	if absent(err, codeNoDeployment) {
		return none, fault.New(fault.NotFound, "there is no deployment %s", name)
	}
	if err != nil {
		return none, unavailable(err)
	}
	holding, err := s.remote.holding(ctx, name)
	if err != nil {
		return none, unavailable(err)
	}
	tags, err := tagsOf(manifest)
	if err != nil {
		return none, fmt.Errorf("read tags of deployment %s: %w", name, err)
	}
	return deployer.Deployment{Name: name, Tags: tags, Locked: len(holding) > 0, Instances: instances(rows)}, nil
}

// Manifest returns the manifest of a deployment as the director has it, secrets
// included: for operators, who may read it there as well. It is not part of the
// deployer's contract.
func (s *Service) Manifest(ctx context.Context, name string) (string, error) {
	if err := deployer.CheckName(name); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	manifest, exists, err := s.remote.manifest(ctx, name)
	if err != nil {
		return "", unavailable(err)
	}
	if !exists {
		return "", fault.New(fault.NotFound, "there is no deployment %s", name)
	}
	return manifest, nil
}

func instances(rows []instanceRow) []deployer.Instance {
	var list []deployer.Instance
	for _, r := range rows {
		i := deployer.Instance{Group: r.Group, Index: r.Index, ID: r.ID, AZ: r.AZ}
		if len(r.IPs) > 0 {
			i.Address = r.IPs[0]
		}
		list = append(list, i)
	}
	slices.SortFunc(list, func(a, b deployer.Instance) int {
		if a.Group != b.Group {
			return strings.Compare(a.Group, b.Group)
		}
		return a.Index - b.Index
	})
	return list
}

// Deployments implements deployer.Service. The director's list has no tags, so
// each manifest is read.
func (s *Service) Deployments(ctx context.Context) ([]deployer.Deployment, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	rows, err := s.remote.deployments(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	found := make([]*deployer.Deployment, len(rows))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(max(s.config.MaxConnections/2, 1)) // leave some to the operations
	for i, row := range rows {
		if deployer.CheckName(row.Name) != nil {
			continue // no name that we give
		}
		group.Go(func() error {
			d, err := s.ours(groupCtx, row)
			found[i] = d
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, unavailable(err)
	}
	list := []deployer.Deployment{}
	for _, d := range found {
		if d != nil {
			list = append(list, *d)
		}
	}
	slices.SortFunc(list, func(a, b deployer.Deployment) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// ours returns the deployment if it carries our tag, nil otherwise. One whose
// first deploy has not succeeded has no manifest yet: it is ours when the
// task was submitted by our user with an operation id.
func (s *Service) ours(ctx context.Context, row deploymentRow) (*deployer.Deployment, error) {
	manifest, exists, err := s.remote.manifest(ctx, row.Name)
	if err != nil || !exists {
		return nil, err
	}
	tags, err := tagsOf(manifest)
	if err != nil {
		return nil, nil // not a manifest that we made
	}
	if manifest == "" {
		tasks, err := s.remote.recent(ctx, row.Name)
		if err != nil {
			return nil, err
		}
		if last(tasks, s.submittedByUs) == nil {
			return nil, nil
		}
		tags = map[string]string{deployer.TagKey: s.config.Owner}
	}
	if tags[deployer.TagKey] != s.config.Owner {
		return nil, nil
	}
	return &deployer.Deployment{Name: row.Name, Tags: tags, Locked: row.Locked}, nil
}

func (s *Service) submittedByUs(t task) bool {
	user := s.config.Username
	if user == "" {
		user = s.config.Client
	}
	return t.isDeploy() && t.User == user && deployer.CheckOperationID(t.ContextID) == nil
}

func tagsOf(manifest string) (map[string]string, error) {
	var m struct {
		Tags map[string]string `yaml:"tags"`
	}
	if err := yaml.Unmarshal([]byte(manifest), &m); err != nil {
		// yaml's text quotes the manifest, and that holds secrets.
		return nil, fmt.Errorf("the manifest's tags are no map of strings")
	}
	return m.Tags, nil
}
