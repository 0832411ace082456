package vm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// requiredFiles are what makes a root file system a stemcell this package can
// run: something to hand over to, and an agent.
var requiredFiles = []string{"sbin/init", "var/vcap/bosh/bin/bosh-agent"}

// partialStemcell is the pattern of a stemcell's folder while it is made or removed.
const partialStemcell = ".partial-*"

// ImportStemcell unpacks a stemcell's image, a gzipped tar of a root file
// system. The CID comes from the content, so importing it again returns the
// same one and does nothing.
func (h *Host) ImportStemcell(ctx context.Context, imagePath string) (string, error) {
	h.images.Lock()
	defer h.images.Unlock()
	if stackIsGone(h.config.Dir) {
		return "", ErrNoStack
	}
	digest, err := fileDigest(imagePath)
	if err != nil {
		return "", fmt.Errorf("import stemcell: %w", err)
	}
	cid := "stemcell-" + digest[:16]
	target := filepath.Dir(h.stemcellRoot(cid))
	if _, err := os.Stat(target); err == nil {
		return cid, nil
	}
	if err := unpack(ctx, imagePath, target); err != nil {
		return "", fmt.Errorf("import stemcell: %w", err)
	}
	return cid, nil
}

// unpack fills the target folder, which appears only when it is whole.
func unpack(ctx context.Context, image, target string) (err error) {
	partial, err := os.MkdirTemp(filepath.Dir(target), partialStemcell)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(partial)
		}
	}()
	root := filepath.Join(partial, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	tar := exec.CommandContext(ctx, "tar", "-x", "-z", "-p", "--numeric-owner", "-f", image, "-C", root)
	if out, err := tar.CombinedOutput(); err != nil {
		return fmt.Errorf("unpack %s: %w: %s", image, err, strings.TrimSpace(string(out)))
	}
	for _, name := range requiredFiles {
		if _, err := os.Lstat(filepath.Join(root, name)); err != nil {
			return fmt.Errorf("%s is no stemcell's image: /%s is missing", image, name)
		}
	}
	return os.Rename(partial, target)
}

// DeleteStemcell removes an unpacked image. One that VMs use is ErrInUse, an
// unknown one no error.
func (h *Host) DeleteStemcell(_ context.Context, cid string) error {
	h.images.Lock()
	defer h.images.Unlock()
	if !validCID.MatchString(cid) {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range h.vms {
		if r := v.look(); r.StemcellCID == cid {
			return fmt.Errorf("delete stemcell %s: VM %s runs on it: %w", cid, r.CID, ErrInUse)
		}
	}
	target := filepath.Dir(h.stemcellRoot(cid))
	// Renamed first, so that no VM starts on half a root.
	doomed := filepath.Join(filepath.Dir(target), strings.Replace(partialStemcell, "*", newID(), 1))
	if err := os.Rename(target, doomed); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("delete stemcell %s: %w", cid, err)
	}
	if err := os.RemoveAll(doomed); err != nil {
		return fmt.Errorf("delete stemcell %s: %w", cid, err)
	}
	return nil
}

func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
