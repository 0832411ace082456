package release

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"sort"
	"strings"
)

// JobSource is what rendering needs of a job: its declaration, its monit file
// and its templates' sources by their path below templates/.
type JobSource struct {
	Job       Job
	Monit     []byte
	Templates map[string][]byte
}

// JobSource reads the job's archive from the store.
func (s *Store) JobSource(ctx context.Context, job Job) (*JobSource, error) {
	blob, err := s.Open(job.Blob)
	if err != nil {
		return nil, fmt.Errorf("read job '%s': %w", job.Name, err)
	}
	defer blob.Close()
	sum := sha256.New()
	files, err := readJobArchive(ctx, io.TeeReader(blob, sum))
	if err != nil {
		return nil, fmt.Errorf("read job '%s': %w", job.Name, err)
	}
	if _, err := io.Copy(sum, blob); err != nil {
		return nil, fmt.Errorf("read job '%s': %w", job.Name, err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != job.Blob {
		return nil, fmt.Errorf("read job '%s': its blob %s is damaged: upload the release again with --fix", job.Name, job.Blob)
	}
	source := &JobSource{Job: job, Monit: files.content["monit"], Templates: make(map[string][]byte, len(job.Templates))}
	for src := range job.Templates {
		source.Templates[src] = files.content[templatePath(src)]
	}
	return source, nil
}

func templatePath(source string) string { return path.Join("templates", source) }

// jobFiles is the content of a job's archive.
type jobFiles struct {
	content map[string][]byte
	links   map[string]bool
}

func readJobArchive(ctx context.Context, r io.Reader) (*jobFiles, error) {
	files := &jobFiles{content: map[string][]byte{}, links: map[string]bool{}}
	err := walkTarball(ctx, r, jobLimits, func(name string, h *tar.Header, content io.Reader) error {
		switch h.Typeflag {
		case tar.TypeReg:
			limit := int64(jobLimits.bytes)
			if name == "job.MF" {
				limit = manifestLimit
			}
			data, err := readAtMost(content, limit, name)
			if err != nil {
				return err
			}
			files.content[name] = data
		case tar.TypeSymlink, tar.TypeLink:
			files.links[name] = true
		}
		return nil
	})
	return files, err
}

// describe completes a job by what its own manifest says, and checks that the
// archive has all of it.
func (f *jobFiles) describe(j *Job) error {
	text, ok := f.content["job.MF"]
	if !ok {
		return faultf(CodeJobManifestMissing, "Missing job manifest for '%s'", j.Name)
	}
	if err := readJobSpec(text, j); err != nil {
		return err
	}
	if _, ok := f.content["monit"]; !ok {
		return faultf(CodeJobMonitMissing, "Job '%s' is missing monit file", j.Name)
	}
	return f.checkTemplates(j)
}

func (f *jobFiles) checkTemplates(j *Job) error {
	sources := make([]string, 0, len(j.Templates))
	for source := range j.Templates {
		sources = append(sources, source)
	}
	sort.Strings(sources)
	targets := map[string]string{"monit": "monit"}
	for _, source := range sources {
		target := j.Templates[source]
		switch name := templatePath(source); {
		case !filepath.IsLocal(source) || !strings.HasPrefix(name, "templates/"):
			return faultf(CodeJobTemplateMissing, "Template '%s' of job '%s' leaves the job's folder", source, j.Name)
		case f.links[name]:
			return faultf(CodeJobTemplateMissing, "Template file '%s' for job '%s' is a link", source, j.Name)
		case f.content[name] == nil:
			return faultf(CodeJobTemplateMissing, "Missing template file '%s' for job '%s'", source, j.Name)
		case !filepath.IsLocal(target) || path.Clean(target) == ".":
			return faultf(CodeJobTemplateMissing, "Template '%s' of job '%s' is to be rendered to '%s', which is not below the job's folder", source, j.Name, target)
		}
		target = path.Clean(target)
		if other, taken := targets[target]; taken {
			return faultf(CodeJobTemplateMissing, "Job '%s' renders both '%s' and '%s' to '%s'", j.Name, other, source, target)
		}
		targets[target] = source
		j.Templates[source] = target
	}
	return nil
}
