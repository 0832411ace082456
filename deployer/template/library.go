package template

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/fault"
)

// Library holds the templates of several sources. It is safe for use by many
// at once, also while it reloads.
type Library struct {
	from    sources
	log     *slog.Logger
	current atomic.Pointer[map[string]*compiled]
}

// Open loads and validates all templates; a later source overlays an earlier
// one file by file.
func Open(log *slog.Logger, from ...fs.FS) (*Library, error) {
	l := &Library{from: from, log: log}
	if err := l.Reload(context.Background()); err != nil {
		return nil, err
	}
	return l, nil
}

// Reload reads the sources again. Where anything is wrong, its error tells all
// of it and the library stays as it was.
func (l *Library) Reload(ctx context.Context) error {
	all, err := loadAll(l.from)
	if err != nil {
		return fmt.Errorf("load templates: %w", err)
	}
	for _, c := range all {
		l.log.InfoContext(ctx, "template loaded", "template", c.name, "digest", c.digest, "left_to_director", c.passed)
	}
	l.current.Store(&all)
	return nil
}

// List returns the templates by name.
func (l *Library) List() []deployer.Template {
	all := *l.current.Load()
	list := make([]deployer.Template, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[name].public())
	}
	return list
}

// Template returns one. Faults: NotFound.
func (l *Library) Template(name string) (deployer.Template, error) {
	c, err := l.find(name)
	if err != nil {
		return deployer.Template{}, err
	}
	return c.public(), nil
}

// Render makes the manifest of a deployment that belongs to owner. Faults:
// NotFound, Invalid with the field.
func (l *Library) Render(in deployer.DeployRequest, owner string) ([]byte, error) {
	return l.render(in, owner, false)
}

// RenderRedacted is Render without the secrets.
func (l *Library) RenderRedacted(in deployer.DeployRequest, owner string) ([]byte, error) {
	return l.render(in, owner, true)
}

func (l *Library) render(in deployer.DeployRequest, owner string, redact bool) ([]byte, error) {
	if err := deployer.CheckName(in.Name); err != nil {
		return nil, err
	}
	c, err := l.find(in.Template)
	if err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	values, err := c.values(in, redact)
	if err != nil {
		return nil, err
	}
	tags := map[string]string{deployer.TagKey: owner}
	maps.Copy(tags, in.Tags)
	manifest, err := c.render(values, tags)
	if err != nil {
		// The template was tried out when it was loaded: what is left is a map
		// without a key that the manifest wants.
		f := fault.Wrap(fault.Invalid, err, "do not fit template %s", c.name)
		f.Field = "attributes"
		return nil, f
	}
	return manifest, nil
}

func (l *Library) find(name string) (*compiled, error) {
	c, found := (*l.current.Load())[name]
	if !found {
		return nil, fault.New(fault.NotFound, "there is no template %q", name)
	}
	return c, nil
}
