package agent

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"regexp"
)

// blobsDir is where the agent keeps what arrives as PUT /blobs/ID.
const blobsDir = "/var/vcap/data/blobs"

var blobID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// PutBlob uploads the file at from and returns the id under which the agent
// finds it.
func (c *Client) PutBlob(ctx context.Context, from string) (string, error) {
	f, err := os.Open(from)
	if err != nil {
		return "", fmt.Errorf("upload blob: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("upload blob: %w", err)
	}
	return c.PutBlobFrom(ctx, f, info.Size())
}

// PutBlobFrom uploads size bytes and returns the id under which the agent finds them.
func (c *Client) PutBlobFrom(ctx context.Context, from io.Reader, size int64) (string, error) {
	id := rand.Text()
	resp, err := c.blob(ctx, http.MethodPut, id, from, size)
	if err != nil {
		return "", err
	}
	return id, resp.Body.Close()
}

// GetBlob downloads a blob to the file at to, which is made or replaced whole:
// on an error nothing is left there.
func (c *Client) GetBlob(ctx context.Context, id, to string) (err error) {
	resp, err := c.blob(ctx, http.MethodGet, id, nil, 0)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	f, err := os.CreateTemp(path.Dir(to), ".blob-*")
	if err != nil {
		return fmt.Errorf("download blob %s: %w", id, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := io.Copy(f, resp.Body); err != nil {
		_ = f.Close()
		return fmt.Errorf("download blob %s: %w", id, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("download blob %s: %w", id, err)
	}
	return os.Rename(f.Name(), to)
}

// DeleteBlob removes an uploaded blob. One that is not there is no error. The
// message bus cannot delete blobs, so the file is removed by its path.
func (c *Client) DeleteBlob(ctx context.Context, id string) error {
	if !blobID.MatchString(id) {
		return fmt.Errorf("delete blob: %q is not a blob id", id)
	}
	_, err := c.send(ctx, "remove_file", true, path.Join(blobsDir, id))
	return err
}

// blob sends a request about one blob. It has no time limit but ctx: blobs may be large.
func (c *Client) blob(ctx context.Context, verb, id string, body io.Reader, size int64) (*http.Response, error) {
	if !blobID.MatchString(id) {
		return nil, fmt.Errorf("%s blob: %q is not a blob id", verb, id)
	}
	req, err := http.NewRequestWithContext(ctx, verb, "https://"+c.endpoint.Address+"/blobs/"+id, body)
	if err != nil {
		return nil, fmt.Errorf("%s blob %s: %w", verb, id, err)
	}
	if body != nil {
		req.ContentLength = size
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	req.SetBasicAuth(c.endpoint.User, c.endpoint.Password)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s blob %s: %w", verb, id, err)
	}
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
		_ = resp.Body.Close()
		return nil, &Error{"blob", fmt.Sprintf("agent answered %s to %s blob %s: %s", resp.Status, verb, id, text)}
	}
	return resp, nil
}
