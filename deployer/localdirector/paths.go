package localdirector

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/vm"
)

// Where things lie below the director's folder.
const (
	databaseFile = "director.db"
	stackFile    = "stack.json" // for others to read: Stack
	hostDir      = "host"       // VMs, disks, unpacked stemcells
	tasksDir     = "tasks"      // outputs of tasks
	blobsDir     = "blobs"      // parts of releases
	compiledDir  = "compiled"   // unless the cache lies elsewhere
	instancesDir = "instances"  // rendered templates
	uploadsDir   = "uploads"    // tarballs on their way in
	tlsDir       = "tls"
)

// CAFile is the certificate that clients of the director in dir must trust.
func CAFile(dir string) string { return filepath.Join(dir, tlsDir, "ca.pem") }

// Destroy removes every trace of the director in dir, also after a crash and
// while it still runs: its VMs, links, routes, devices, and its files. What
// else lies in dir stays. Repeating it is harmless.
func Destroy(ctx context.Context, dir string, log *slog.Logger) error {
	if err := vm.Destroy(ctx, filepath.Join(dir, hostDir), log); err != nil {
		return err
	}
	_, err := os.Lstat(filepath.Join(dir, databaseFile))
	_, err2 := os.Lstat(filepath.Join(dir, hostDir))
	if errors.Is(err, fs.ErrNotExist) && errors.Is(err2, fs.ErrNotExist) {
		return nil // not a director's folder, or an empty one
	}
	// The database goes last: while it is there, a repeated call goes on.
	for _, name := range []string{
		hostDir, tasksDir, blobsDir, compiledDir, instancesDir, uploadsDir, tlsDir, stackFile,
		databaseFile + "-wal", databaseFile + "-shm", databaseFile,
	} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("remove the director's files: %w", err)
		}
	}
	_ = os.Remove(dir) // only when nothing else is in it
	return nil
}
