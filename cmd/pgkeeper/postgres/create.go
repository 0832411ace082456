package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// autoConf is what ALTER SYSTEM writes: for superusers only, and so nobody's here.
const autoConf = "postgresql.auto.conf"

// InitDB makes a new data directory. It is made aside and renamed when it is
// complete and on disk.
func (c *Cluster) InitDB(ctx context.Context) error {
	if exists(c.in("PG_VERSION")) {
		return fmt.Errorf("%s holds data: not touched", c.data())
	}
	if err := c.clear(c.unmade()); err != nil {
		return err
	}
	args := append([]string{"--pgdata=" + c.unmade(), "--username=postgres"}, c.settings.PostgreSQL.InitDB...)
	if _, err := c.run(ctx, "initdb", args...); err != nil {
		return err
	}
	if _, err := c.newIdentity(c.unmade()); err != nil {
		return err
	}
	// A data directory that exists but is empty was made by somebody who prepared the disk.
	if err := os.Remove(c.data()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("make way for new data: %w", err)
	}
	return c.rename(c.unmade(), c.data())
}

// Clone replaces the data by a copy of another node's.
func (c *Cluster) Clone(ctx context.Context, a decide.Clone) error {
	if err := c.clear(c.unmade()); err != nil {
		return err
	}
	if err := c.makeRoom(ctx, a); err != nil {
		return err
	}
	_, err := c.run(ctx, "pg_basebackup", "--pgdata="+c.unmade(), "--dbname="+c.conninfo(a.Address, ""),
		"--wal-method=stream", "--checkpoint=fast", "--slot="+slotName(c.settings.Node))
	if err != nil {
		return err
	}
	for _, foreign := range []string{ownFolder, "postmaster.pid", "postmaster.opts"} {
		if err := os.RemoveAll(filepath.Join(c.unmade(), foreign)); err != nil {
			return fmt.Errorf("remove what the copy should not have: %w", err)
		}
	}
	for _, empty := range []string{standbySignal, autoConf} {
		if err := c.put(filepath.Join(c.unmade(), empty), nil, 0o600); err != nil {
			return fmt.Errorf("make the copy a standby: %w", err)
		}
	}
	if _, err := c.newIdentity(c.unmade()); err != nil {
		return err
	}
	if err := c.clear(c.retired()); err != nil {
		return err
	}
	if exists(c.data()) {
		if err := c.rename(c.data(), c.retired()); err != nil {
			return err
		}
	}
	if err := c.rename(c.unmade(), c.data()); err != nil {
		return err
	}
	return c.clear(c.marker())
}

// makeRoom gives the old data up before a clone when the disk is too small for both.
func (c *Cluster) makeRoom(ctx context.Context, a decide.Clone) error {
	if err := c.clear(c.retired()); err != nil {
		return err
	}
	var size int64
	conn, err := pgx.Connect(ctx, c.conninfo(a.Address, c.settings.Login.Database))
	if err != nil {
		return fmt.Errorf("log in to %s: %w", a.Node, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	query := "SELECT sum(pg_database_size(oid))::bigint + (SELECT coalesce(sum(size), 0) FROM pg_ls_waldir())::bigint FROM pg_database"
	if err := conn.QueryRow(ctx, query).Scan(&size); err != nil {
		return fmt.Errorf("ask %s how large its data are: %w", a.Node, err)
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(c.data()), &disk); err != nil {
		return fmt.Errorf("look at the disk: %w", err)
	}
	free := int64(disk.Bavail) * disk.Bsize
	if free > size+size/10 || !exists(c.data()) {
		return nil
	}
	c.log.Warn("the disk is too small for the old data and a clone: the old data are given up", "free", free, "needed", size)
	return c.clear(c.data())
}

// Retire removes the data that a clone replaced, once it has proved itself.
func (c *Cluster) Retire() error {
	if !exists(c.retired()) {
		return nil
	}
	return c.clear(c.retired())
}

func (c *Cluster) clear(path string) error {
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

func (c *Cluster) rename(from, to string) error {
	// What was written must be on the disk before its name says that it is whole.
	if err := syncFileSystem(filepath.Dir(to)); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(to))
}

// syncFileSystem has the file system that holds path written to its disk. The
// machine's others may have much to write and are nobody's business here.
func syncFileSystem(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := unix.Syncfs(int(folder.Fd())); err != nil {
		return fmt.Errorf("write the file system of %s to its disk: %w", path, err)
	}
	return nil
}

// EnsureLogin makes, on a primary, the role and the database by which nodes
// reach each other. The role has no password: pg_hba.conf wants a certificate.
func (c *Cluster) EnsureLogin(ctx context.Context) error {
	role, database := pgx.Identifier{c.settings.Login.User}.Sanitize(), c.settings.Login.Database
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var haveRole, haveDatabase bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1), EXISTS (SELECT FROM pg_database WHERE datname = $2)",
		c.settings.Login.User, database).Scan(&haveRole, &haveDatabase)
	if err != nil {
		return fmt.Errorf("look for the nodes' role: %w", err)
	}
	if !haveRole {
		if _, err := conn.Exec(ctx, "CREATE ROLE "+role+" LOGIN SUPERUSER REPLICATION"); err != nil {
			return fmt.Errorf("create the nodes' role: %w", err)
		}
	}
	if !haveDatabase {
		name := pgx.Identifier{database}.Sanitize()
		if _, err := conn.Exec(ctx, "CREATE DATABASE "+name+" OWNER "+role); err != nil {
			return fmt.Errorf("create the nodes' database: %w", err)
		}
		if _, err := conn.Exec(ctx, "REVOKE ALL ON DATABASE "+name+" FROM PUBLIC"); err != nil {
			return fmt.Errorf("close the nodes' database to others: %w", err)
		}
	}
	return nil
}

// leaveSegment is for PostgreSQL's keeping each timeline's copy of a segment of log
// until the log has left it, which that of an idle database may never do: many
// promotions then fill the disk, and each rewind copies them all.
const leaveSegment = `SELECT pg_switch_wal() FROM pg_ls_waldir()
	WHERE name ~ '^[0-9A-F]{24}$' AND right(name, 16) = right(pg_walfile_name(pg_current_wal_lsn()), 16) HAVING count(*) > 4`

// LeaveSegment begins, on a primary, a new segment of log when the disk holds that
// of more than four timelines. The next checkpoints remove them.
func (c *Cluster) LeaveSegment(ctx context.Context) error {
	if err := c.exec(ctx, leaveSegment); err != nil {
		return fmt.Errorf("begin a new segment of log: %w", err)
	}
	return nil
}

// AfterPromote runs the hook of a node that has become primary.
func (c *Cluster) AfterPromote(ctx context.Context) {
	c.hook(ctx, c.settings.PostgreSQL.AfterPromote, 5*time.Minute)
}

// hook runs a program of the job. Its failure is logged and stops nothing.
func (c *Cluster) hook(ctx context.Context, argv []string, within time.Duration) {
	if len(argv) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if out, err := cmd.CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		c.log.Error("hook failed", "hook", argv, "error", err, "said", lines[len(lines)-1])
	}
}
