package stack

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	boshdir "github.com/cloudfoundry/bosh-cli/v7/director"
	boshlog "github.com/cloudfoundry/bosh-utils/logger"
	"golang.org/x/sync/errgroup"
	"gopkg.in/yaml.v3"
)

// director is the stack's view of its director: it uploads what deployments
// are made from.
type director struct{ boshdir.Director }

// openDirector connects to the folder's director, which must have been started
// once: it makes its own CA.
func openDirector(folder Folder, s settings) (director, error) {
	ca, err := os.ReadFile(folder.DirectorCA())
	if err != nil {
		return director{}, fmt.Errorf("read the director's CA: %w", err)
	}
	host, port, err := net.SplitHostPort(s.DirectorAddress)
	if err != nil {
		return director{}, fmt.Errorf("director address: %w", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return director{}, fmt.Errorf("director address: %w", err)
	}
	api, err := boshdir.NewFactory(boshlog.NewLogger(boshlog.LevelNone)).New(boshdir.FactoryConfig{
		Host: host, Port: number, CACert: string(ca), Client: s.DirectorUsername, ClientSecret: s.DirectorPassword,
	}, boshdir.NewNoopTaskReporter(), boshdir.NewNoopFileReporter())
	if err != nil {
		return director{}, fmt.Errorf("connect to the director: %w", err)
	}
	return director{api}, nil
}

// ready tells whether the director answers and takes our password.
func (d director) ready(context.Context) error {
	ok, err := d.IsAuthenticated()
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("the director refuses the stack's own password")
	}
	return nil
}

// uploadStemcell gives the director a stemcell that it does not have yet.
func (d director) uploadStemcell(path string) (uploaded bool, err error) {
	manifest, err := readIdentity(path, "stemcell.MF")
	if err != nil {
		return false, err
	}
	have, err := d.Stemcells()
	if err != nil {
		return false, fmt.Errorf("list stemcells: %w", err)
	}
	for _, s := range have {
		if s.Name() == manifest.Name && s.Version().AsString() == manifest.Version {
			return false, nil
		}
	}
	file, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("open stemcell: %w", err)
	}
	if err := d.UploadStemcellFile(file, false); err != nil {
		return false, fmt.Errorf("upload stemcell %s: %w", filepath.Base(path), err)
	}
	return true, nil
}

// uploadRelease gives the director a release that it does not have yet.
func (d director) uploadRelease(path string) (uploaded bool, err error) {
	manifest, err := readIdentity(path, "release.MF")
	if err != nil {
		return false, err
	}
	have, err := d.Releases()
	if err != nil {
		return false, fmt.Errorf("list releases: %w", err)
	}
	for _, r := range have {
		if r.Name() == manifest.Name && r.Version().AsString() == manifest.Version {
			return false, nil
		}
	}
	file, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("open release: %w", err)
	}
	if err := d.UploadReleaseFile(file, false, false); err != nil {
		return false, fmt.Errorf("upload release %s: %w", filepath.Base(path), err)
	}
	return true, nil
}

// setCloudConfig gives the director the stack's cloud config.
func (d director) setCloudConfig(config map[string]any) error {
	content, err := yaml.Marshal(config)
	if err != nil {
		return fmt.Errorf("encode cloud config: %w", err)
	}
	if err := d.UpdateCloudConfig("default", content); err != nil {
		return fmt.Errorf("set cloud config: %w", err)
	}
	return nil
}

// identity is what a stemcell's or a release's own manifest calls it.
type identity struct {
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
}

func readIdentity(path, member string) (identity, error) {
	content, err := archiveMember(path, member)
	if err != nil {
		return identity{}, fmt.Errorf("read %s of %s: %w", member, path, err)
	}
	var read identity
	if err := yaml.Unmarshal(content, &read); err != nil {
		return identity{}, fmt.Errorf("read %s of %s: %w", member, path, err)
	}
	return read, nil
}

// fillDirector gives the director what deployments are made from.
func (s *Stack) fillDirector(ctx context.Context) error {
	d, err := openDirector(s.folder, s.settings)
	if err != nil {
		return err
	}
	network, err := s.Network(ctx)
	if err != nil {
		return err
	}
	config, err := cloudConfig(network.Subnet)
	if err != nil {
		return err
	}
	if err := d.setCloudConfig(config); err != nil {
		return err
	}
	uploads, ctx := errgroup.WithContext(ctx)
	for _, upload := range []struct {
		what, path string
		do         func(string) (bool, error)
	}{{"stemcell", s.config.Stemcell, d.uploadStemcell}, {"release", s.config.Release, d.uploadRelease}} {
		if upload.path == "" {
			continue
		}
		uploads.Go(func() error {
			begin := time.Now()
			uploaded, err := s.upload(ctx, upload.what, func() (bool, error) { return upload.do(upload.path) })
			if err == nil && uploaded {
				s.config.Report("uploaded %s %s in %.1f s", upload.what, filepath.Base(upload.path), time.Since(begin).Seconds())
			}
			return err
		})
	}
	return uploads.Wait()
}

// upload waits for do with signs of life. The library cannot interrupt an
// upload: when ctx ends it is left to the end of the director.
func (s *Stack) upload(ctx context.Context, what string, do func() (bool, error)) (uploaded bool, _ error) {
	type result struct {
		uploaded bool
		err      error
	}
	ended := make(chan result, 1)
	go func() {
		uploaded, err := do()
		ended <- result{uploaded, err}
	}()
	tick := time.NewTicker(longestSilence)
	defer tick.Stop()
	for {
		select {
		case r := <-ended:
			return r.uploaded, r.err
		case <-ctx.Done():
			return false, ctx.Err()
		case <-tick.C:
			s.config.Report("uploading the %s …", what)
		}
	}
}

// Deployments lists the names of the director's deployments, Consul's aside: it
// is a part of the stack.
func (s *Stack) Deployments() ([]string, error) { return deploymentNames(s.folder, s.settings) }

func deploymentNames(folder Folder, s settings) ([]string, error) {
	d, err := openDirector(folder, s)
	if err != nil {
		return nil, err
	}
	deployments, err := d.Deployments()
	if err != nil {
		return nil, fmt.Errorf("list deployments: %w", err)
	}
	names := []string{}
	for _, deployment := range deployments {
		if deployment.Name() != consulDeployment {
			names = append(names, deployment.Name())
		}
	}
	return names, nil
}
