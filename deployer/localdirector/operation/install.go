package operation

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/cloudfoundry/bosh-agent/v2/agentclient/applyspec"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
)

// upload brings the blobs of a spec to the VM: the rendered templates and the
// packages that the agent does not have installed.
func (d *Director) upload(ctx context.Context, client agentClient, row db.Instance, s spec) (uploaded, error) {
	out := uploaded{packages: make(map[string]applyspec.Blob, len(s.Packages))}
	state, err := client.State(ctx)
	if err != nil {
		return uploaded{}, err
	}
	for _, p := range s.Packages {
		compiled, ok, err := d.compiled.Get(ctx, p.Key)
		if err != nil {
			return uploaded{}, err
		}
		if !ok {
			return uploaded{}, fmt.Errorf("compiled package %s/%s of %s is not in the cache", p.Name, p.Version, row.Name())
		}
		blob := applyspec.Blob{Name: p.Name, Version: p.Version, SHA1: compiled.Digest, BlobstoreID: installedBlob}
		if !installed(state, blob) {
			if blob.BlobstoreID, err = client.PutBlob(ctx, compiled.Path); err != nil {
				return uploaded{}, fmt.Errorf("upload package %s to %s: %w", p.Name, row.Name(), err)
			}
		}
		out.packages[p.Name] = blob
	}
	id, err := client.PutBlob(ctx, d.archives.path(row.ID, s.Templates.Digest))
	if err != nil {
		return uploaded{}, fmt.Errorf("upload templates to %s: %w", row.Name(), err)
	}
	out.templates = applyspec.RenderedTemplatesArchiveSpec{BlobstoreID: id, SHA1: s.Templates.Digest}
	return out, nil
}

// installedBlob stands for the blob of a package that the agent will not ask for.
const installedBlob = "installed"

// installed tells whether the agent has applied exactly this package before.
func installed(state agent.State, want applyspec.Blob) bool {
	var have applyspec.Blob
	if err := json.Unmarshal(state.Packages[want.Name], &have); err != nil {
		return false
	}
	return have.Version == want.Version && have.SHA1 == want.SHA1
}

// forgetBlobs removes uploaded blobs from the VM once they are installed.
func forgetBlobs(ctx context.Context, client agentClient, blobs uploaded) error {
	ids := []string{blobs.templates.BlobstoreID}
	for _, p := range blobs.packages {
		if p.BlobstoreID != installedBlob {
			ids = append(ids, p.BlobstoreID)
		}
	}
	for _, id := range ids {
		if err := client.DeleteBlob(ctx, id); err != nil {
			return fmt.Errorf("remove an installed blob: %w", err)
		}
	}
	return nil
}
