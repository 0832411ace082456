package vm

import "context"

// CreateDisk makes a persistent disk of exactly sizeMiB with an empty ext4.
func (h *Host) CreateDisk(ctx context.Context, sizeMiB int) (cid string, err error) { return "", nil }

// DeleteDisk removes a disk and its content. An attached disk is ErrInUse; an
// unknown one is no error: repeating is harmless.
func (h *Host) DeleteDisk(ctx context.Context, cid string) error { return nil }

// HasDisk tells whether there is such a disk.
func (h *Host) HasDisk(cid string) bool { return false }

// AttachDisk makes a disk a device in a running VM and returns the hint that
// agent.Client.AddPersistentDisk takes. Repeating returns the same. A disk that
// another VM has is ErrInUse, unknown ones are ErrNotFound.
func (h *Host) AttachDisk(ctx context.Context, vmCID, diskCID string) (DiskHint, error) {
	return DiskHint{}, nil
}

// DetachDisk takes a disk away from a VM. One that is mounted there is
// ErrInUse: unmount it through the agent first. A disk that is not attached, or
// a VM that does not exist, is no error.
func (h *Host) DetachDisk(ctx context.Context, vmCID, diskCID string) error { return nil }

// DiskHint is where the agent finds an attached disk.
type DiskHint struct {
	Path string `json:"path"`
}
