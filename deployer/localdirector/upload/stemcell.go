package upload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// CreateStemcell takes in the stemcell tarball at path and removes the file.
// A stemcell that is there already is kept, unless fix wants it anew.
func (u *Uploads) CreateStemcell(ctx context.Context, run *task.Run, path string, fix bool) (result string, err error) {
	defer func() { err = errors.Join(err, os.Remove(path)) }()
	steps := run.Stage("Update stemcell", 5)
	var archive *release.StemcellArchive
	if err := steps.Do("Extracting stemcell archive", func(*task.Step) (err error) {
		archive, err = u.store.ExtractStemcell(ctx, path)
		return err
	}); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	s := archive.Stemcell
	if err := steps.Do("Verifying stemcell manifest", func(*task.Step) error {
		run.Log().Info("found stemcell image", "name", s.Name, "version", s.Version, "os", s.OperatingSystem)
		return nil
	}); err != nil {
		return "", err
	}
	unlock, err := run.Lock(ctx, "stemcells", s.Name, s.Version)
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := u.keepStemcell(ctx, steps, archive, fix); err != nil {
		return "", err
	}
	return fmt.Sprintf("/stemcells/%s/%s", s.Name, s.Version), nil
}

// keepStemcell unpacks the image and records it.
func (u *Uploads) keepStemcell(ctx context.Context, steps *task.Stage, archive *release.StemcellArchive, fix bool) error {
	s, id := archive.Stemcell, archive.Stemcell.Name+"/"+archive.Stemcell.Version
	var earlier db.Stemcell
	if err := steps.Do("Checking if this stemcell already exists", func(*task.Step) (err error) {
		earlier, err = u.db.Stemcell(ctx, s.Name, s.Version)
		if errors.Is(err, db.ErrNotFound) {
			return nil
		}
		return err
	}); err != nil {
		return err
	}
	wanted, suffix := fix || earlier.CID == "", ""
	if !wanted {
		suffix = " (already exists, skipped)"
	}
	cid := earlier.CID
	if err := steps.Do("Uploading stemcell "+id+" to the cloud"+suffix, func(*task.Step) (err error) {
		if wanted {
			cid, err = u.host.ImportStemcell(ctx, archive.ImagePath)
		}
		return err
	}); err != nil {
		return err
	}
	return steps.Do(fmt.Sprintf("Save stemcell %s (%s)%s", id, cid, suffix), func(*task.Step) error {
		if !wanted {
			return nil
		}
		properties, err := json.Marshal(s.CloudProperties)
		if err != nil {
			return fmt.Errorf("keep the stemcell's cloud properties: %w", err)
		}
		return u.db.PutStemcell(ctx, db.Stemcell{
			Name: s.Name, OS: s.OperatingSystem, Version: s.Version, CID: cid, APIVersion: s.APIVersion,
			Digest: s.Digest, CloudProperties: properties,
		})
	})
}

// DeleteStemcell deletes a stemcell unless a deployment uses it. With force
// its row goes even when its image cannot be removed.
func (u *Uploads) DeleteStemcell(ctx context.Context, run *task.Run, name, version string, force bool) (string, error) {
	unlock, err := run.Lock(ctx, "stemcells", name, version)
	if err != nil {
		return "", err
	}
	defer unlock()
	s, err := u.db.Stemcell(ctx, name, version)
	if err != nil {
		return "", notFound(err, task.Errorf(codeStemcellNotFound, "Stemcell '%s/%s' doesn't exist", name, version))
	}
	names, err := u.users(ctx, func(d db.Deployment) []db.NameVersion { return d.Stemcells }, name, version)
	if err != nil {
		return "", err
	}
	if names != "" {
		return "", task.Errorf(codeStemcellInUse, "Stemcell '%s/%s' is still in use by: %s", name, version, names)
	}
	if err := u.deleteImage(ctx, s); err != nil {
		if !force {
			return "", fmt.Errorf("delete stemcell %s/%s: %w", name, version, err)
		}
		run.Log().Warn("the image stays", "cid", s.CID, "error", err)
	}
	return fmt.Sprintf("/stemcells/%s/%s", name, version), u.db.DeleteStemcell(ctx, name, version)
}

// deleteImage removes the image unless another stemcell has the same one.
func (u *Uploads) deleteImage(ctx context.Context, s db.Stemcell) error {
	all, err := u.db.Stemcells(ctx)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.CID == s.CID && other.ID != s.ID {
			return nil
		}
	}
	return u.host.DeleteStemcell(ctx, s.CID)
}
