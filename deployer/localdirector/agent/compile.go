package agent

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/cloudfoundry/bosh-agent/v2/agentclient"
)

type wireBlobRef struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	SHA1        string `json:"sha1"`
	BlobstoreID string `json:"blobstore_id"`
}

// CompilePackage compiles a package from its source blob with the compiled
// packages it depends on, all uploaded to this agent before. The result is a
// blob on this agent. The Error carries the packaging script's output.
func (c *Client) CompilePackage(ctx context.Context, source agentclient.BlobRef, dependencies []agentclient.BlobRef) (agentclient.BlobRef, error) {
	wired := make(map[string]wireBlobRef, len(dependencies))
	for _, d := range dependencies {
		wired[d.Name] = wireBlobRef{d.Name, d.Version, d.SHA1, d.BlobstoreID}
	}
	value, err := c.run(ctx, "compile_package", source.BlobstoreID, source.SHA1, source.Name, source.Version, wired)
	if err != nil {
		return agentclient.BlobRef{}, err
	}
	var answer struct {
		Result wireBlobRef `json:"result"`
	}
	if err := json.Unmarshal(value, &answer); err != nil || answer.Result.BlobstoreID == "" {
		return agentclient.BlobRef{}, &Error{"compile_package", fmt.Sprintf("agent's result of compile_package cannot be read: %s", value)}
	}
	return agentclient.BlobRef{Name: source.Name, Version: source.Version, SHA1: answer.Result.SHA1, BlobstoreID: answer.Result.BlobstoreID}, nil
}
