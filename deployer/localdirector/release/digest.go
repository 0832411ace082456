package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	boshcrypto "github.com/cloudfoundry/bosh-utils/crypto"
)

// VerifyDigest checks a file against a digest as BOSH writes it ("…" or
// "sha1:…" for SHA-1, "sha256:…", "sha512:…", several joined by ";"; the
// strongest counts). A mismatch is an *Error with the given code.
func VerifyDigest(ctx context.Context, path, digest string, code int) error {
	want, err := boshcrypto.ParseMultipleDigest(digest)
	if err != nil {
		return faultf(code, "digest '%s' is not one of sha1, sha256, sha512", digest)
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("verify digest: %w", err)
	}
	defer f.Close()
	r := &contextReader{ctx: ctx, r: f}
	if err := want.Verify(r); err != nil {
		if r.err != nil {
			return fmt.Errorf("verify digest: %w", r.err)
		}
		return faultf(code, "%s", err)
	}
	return nil
}

// contextReader stops reading when its context ends, and remembers a read error.
type contextReader struct {
	ctx context.Context
	r   io.Reader
	err error
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		c.err = err
		return 0, err
	}
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// sha256Of returns the hex SHA-256 of a file.
func sha256Of(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, &contextReader{ctx: ctx, r: f}); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
