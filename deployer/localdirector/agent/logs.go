package agent

import (
	"context"
	"encoding/json"
	"fmt"
)

// LogType chooses which logs FetchLogs packs.
type LogType string

// The agent's kinds of logs.
const (
	JobLogs   LogType = "job"
	AgentLogs LogType = "agent"
)

// FetchLogs packs logs into a blob on this agent, to be downloaded with
// GetBlob. filters are glob patterns below the log directory; none means all.
func (c *Client) FetchLogs(ctx context.Context, kind LogType, filters []string) (id, digest string, err error) {
	if filters == nil {
		filters = []string{}
	}
	value, err := c.run(ctx, "fetch_logs", kind, filters)
	if err != nil {
		return "", "", err
	}
	var blob struct {
		BlobstoreID string `json:"blobstore_id"`
		SHA1        string `json:"sha1"`
	}
	if err := json.Unmarshal(value, &blob); err != nil || blob.BlobstoreID == "" {
		return "", "", &Error{"fetch_logs", fmt.Sprintf("agent's result of fetch_logs cannot be read: %s", value)}
	}
	return blob.BlobstoreID, blob.SHA1, nil
}
