package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	boshdir "github.com/cloudfoundry/bosh-cli/v7/director"
	boshlog "github.com/cloudfoundry/bosh-utils/logger"

	"github.com/holdfast-osb/holdfast/internal/stack"
	"github.com/holdfast-osb/holdfast/test/chaos/cluster"
)

// operator works on one deployment through the director's API, as the bosh CLI
// does.
type operator struct {
	director   boshdir.Director
	deployment string
}

// access is how a stack's director is reached.
type access struct {
	Address  string `json:"director_address"`
	Username string `json:"director_username"`
	Password string `json:"director_password"`
}

func readAccess(folder stack.Folder) (access, error) {
	var a access
	content, err := os.ReadFile(filepath.Join(string(folder), "settings.json"))
	if err != nil {
		return a, fmt.Errorf("read the stack's settings: %w", err)
	}
	if err := json.Unmarshal(content, &a); err != nil {
		return a, fmt.Errorf("read the stack's settings: %w", err)
	}
	return a, nil
}

func directorAccess(t *testing.T, folder stack.Folder) access {
	t.Helper()
	a, err := readAccess(folder)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func openDirector(folder stack.Folder) (boshdir.Director, error) {
	a, err := readAccess(folder)
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(folder.DirectorCA())
	if err != nil {
		return nil, fmt.Errorf("read the director's CA: %w", err)
	}
	config, err := boshdir.NewConfigFromURL("https://" + a.Address)
	if err != nil {
		return nil, err
	}
	config.CACert, config.Client, config.ClientSecret = string(ca), a.Username, a.Password
	return boshdir.NewFactory(boshlog.NewLogger(boshlog.LevelNone)).New(config, boshdir.NewNoopTaskReporter(), boshdir.NewNoopFileReporter())
}

// nodes lists the instances of a deployment in the order of their indexes.
func nodes(director boshdir.Director, name string) ([]cluster.Node, error) {
	deployment, err := director.FindDeployment(name)
	if err != nil {
		return nil, err
	}
	instances, err := deployment.VMInfos()
	if err != nil {
		return nil, fmt.Errorf("list the instances of %s: %w", name, err)
	}
	var all []cluster.Node
	for _, i := range instances {
		if i.Index == nil || len(i.IPs) == 0 {
			return nil, fmt.Errorf("instance %s of %s has no index or address", i.ID, name)
		}
		all = append(all, cluster.Node{Name: i.JobName + "/" + strconv.Itoa(*i.Index), Address: i.IPs[0]})
	}
	slices.SortFunc(all, func(a, b cluster.Node) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

func (o operator) Resurrect(_ context.Context, node cluster.Node, on bool) error {
	deployment, err := o.director.FindDeployment(o.deployment)
	if err != nil {
		return err
	}
	group, index, _ := strings.Cut(node.Name, "/")
	if err := deployment.EnableResurrection(boshdir.NewInstanceSlug(group, index), on); err != nil {
		return fmt.Errorf("switch the resurrection of %s: %w", node.Name, err)
	}
	return nil
}

func (o operator) Stop(_ context.Context, node cluster.Node) error {
	return o.do(node, func(d boshdir.Deployment, slug boshdir.AllOrInstanceGroupOrInstanceSlug) error {
		return d.Stop(slug, boshdir.StopOpts{Converge: true})
	})
}

func (o operator) Start(_ context.Context, node cluster.Node) error {
	return o.do(node, func(d boshdir.Deployment, slug boshdir.AllOrInstanceGroupOrInstanceSlug) error {
		return d.Start(slug, boshdir.StartOpts{Converge: true})
	})
}

func (o operator) Recreate(_ context.Context, node cluster.Node) error {
	return o.do(node, func(d boshdir.Deployment, slug boshdir.AllOrInstanceGroupOrInstanceSlug) error {
		return d.Recreate(slug, boshdir.RecreateOpts{Converge: true})
	})
}

func (o operator) Restart(context.Context) error {
	return o.do(cluster.Node{}, func(d boshdir.Deployment, slug boshdir.AllOrInstanceGroupOrInstanceSlug) error {
		return d.Restart(slug, boshdir.RestartOpts{Converge: true})
	})
}

func (o operator) do(node cluster.Node, f func(boshdir.Deployment, boshdir.AllOrInstanceGroupOrInstanceSlug) error) error {
	deployment, err := o.director.FindDeployment(o.deployment)
	if err != nil {
		return err
	}
	slug := boshdir.AllOrInstanceGroupOrInstanceSlug{}
	if node.Name != "" {
		if slug, err = boshdir.NewAllOrInstanceGroupOrInstanceSlugFromString(node.Name); err != nil {
			return err
		}
	}
	return f(deployment, slug)
}
