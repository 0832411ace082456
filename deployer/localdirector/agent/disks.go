package agent

import (
	"context"
	"encoding/json"
	"fmt"
)

// AddPersistentDisk tells the agent where an attached disk is. hint is what
// attaching it returned. Repeating is harmless.
func (c *Client) AddPersistentDisk(ctx context.Context, diskCID string, hint any) error {
	_, err := c.run(ctx, "add_persistent_disk", diskCID, hint)
	return err
}

// RemovePersistentDisk makes the agent forget a disk. Repeating is harmless.
func (c *Client) RemovePersistentDisk(ctx context.Context, diskCID string) error {
	_, err := c.run(ctx, "remove_persistent_disk", diskCID)
	return err
}

// MountDisk mounts a disk at /var/vcap/store, or at the migration target when
// another disk is there. Mounting a mounted disk again is an Error when
// something else is mounted, harmless otherwise.
func (c *Client) MountDisk(ctx context.Context, diskCID string) error {
	_, err := c.run(ctx, "mount_disk", diskCID)
	return err
}

// UnmountDisk unmounts a disk; one that is not mounted is no error.
func (c *Client) UnmountDisk(ctx context.Context, diskCID string) error {
	_, err := c.run(ctx, "unmount_disk", diskCID)
	return err
}

// MigrateDisk copies /var/vcap/store to the disk that was mounted last and
// swaps them.
func (c *Client) MigrateDisk(ctx context.Context) error {
	_, err := c.run(ctx, "migrate_disk")
	return err
}

// ListDisk names the disks that are mounted.
func (c *Client) ListDisk(ctx context.Context) ([]string, error) {
	value, err := c.run(ctx, "list_disk")
	if err != nil {
		return nil, err
	}
	var cids []string
	if err := json.Unmarshal(value, &cids); err != nil {
		return nil, &Error{"list_disk", fmt.Sprintf("agent's list of disks cannot be read: %v", err)}
	}
	return cids, nil
}
