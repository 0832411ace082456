package localdirector

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/httpapi"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/operation"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/render"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/upload"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/vm"
)

// apiVersion is that of the director whose API this one speaks.
const apiVersion = "276.0.0 (holdfast)"

const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeaders    = 64 << 10
	// farewell is how long answers may take once the queue has stopped.
	farewell = 5 * time.Second
)

// Run runs the director until ctx ends, and then stops it: no new tasks, the
// running ones end or are interrupted after the stop timeout, everything
// closes in reverse. VMs go on running.
func Run(ctx context.Context, c Config, log *slog.Logger) (err error) {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration:\n%w", err)
	}
	d := &director{config: c, log: log}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.open(ctx); err != nil {
		return fmt.Errorf("start the director: %w", err)
	}
	return d.serve(ctx)
}

// director is all parts of a running one.
type director struct {
	config     Config
	log        *slog.Logger
	host       *vm.Host
	db         *db.DB
	queue      *task.Queue
	operations *operation.Director
	api        http.Handler
	tls        tls.Certificate
}

// path is a place below the director's folder.
func (d *director) path(name string) string { return filepath.Join(d.config.Dir, name) }

// open opens all parts, the host first: it keeps a second director out of the
// folder.
func (d *director) open(ctx context.Context) error {
	if err := os.MkdirAll(d.config.Dir, 0o700); err != nil {
		return fmt.Errorf("create the director's folder: %w", err)
	}
	deaths := &deathNotices{}
	var err error
	d.host, err = vm.Open(ctx, vm.Config{
		Dir: d.path(hostDir), Log: d.log.With("component", "vm"), InitCommand: d.config.VMInit, OnDeath: deaths.report,
	})
	if err != nil {
		return err
	}
	if err := writeStack(d.config.Dir, d.host); err != nil {
		return err
	}
	if sentence := d.host.Limits().NotEnforced; sentence != "" {
		d.log.Warn("limits are not enforced", "reason", sentence)
	}
	if d.db, err = db.Open(ctx, d.path(databaseFile)); err != nil {
		return err
	}
	d.queue, err = task.Open(ctx, task.Config{
		DB: d.db, Dir: d.path(tasksDir), Workers: d.config.Workers, Log: d.log.With("component", "task"),
	})
	if err != nil {
		return err
	}
	releases, err := release.OpenStore(d.path(blobsDir), d.log)
	if err != nil {
		return err
	}
	if err := d.openOperations(ctx, releases); err != nil {
		return err
	}
	deaths.deliver(d.operations.VMDied)
	return d.openAPI(ctx, releases)
}

func (d *director) openOperations(ctx context.Context, releases *release.Store) error {
	cache := d.config.CompiledPackageCache
	if cache == "" {
		cache = d.path(compiledDir)
	}
	compiled, err := release.OpenCompiledCache(cache, d.log)
	if err != nil {
		return err
	}
	d.operations, err = operation.New(operation.Config{
		DB: d.db, Host: d.host, Queue: d.queue, Releases: releases, Compiled: compiled,
		Renderer: render.New(render.Options{Ruby: d.config.Ruby}),
		Dir:      d.path(instancesDir), Name: d.config.Name,
		ResurrectionDelay: d.config.ResurrectionDelay, AgentTimeout: d.config.AgentTimeout,
		Log: d.log.With("component", "operation"),
	})
	if err != nil {
		return err
	}
	return d.operations.Recover(ctx)
}

func (d *director) openAPI(ctx context.Context, releases *release.Store) error {
	id, err := d.db.Setting(ctx, db.SettingUUID)
	if err == nil && id == "" {
		id = uuid.NewString()
		err = d.db.SetSetting(ctx, db.SettingUUID, id)
	}
	if err != nil {
		return err
	}
	// What was still coming in when an earlier process ended is of no use.
	if err := os.RemoveAll(d.path(uploadsDir)); err != nil {
		return fmt.Errorf("remove half received uploads: %w", err)
	}
	if err := os.Mkdir(d.path(uploadsDir), 0o700); err != nil {
		return fmt.Errorf("create the folder of uploads: %w", err)
	}
	d.tls, err = certificate(d.path(tlsDir), serverNames(d.config.Listen, d.config.TLS.Names), time.Now())
	if err != nil {
		return err
	}
	d.api = httpapi.New(httpapi.Config{
		DB: d.db, Queue: d.queue, Deployments: d.operations, Inspections: d.operations,
		Uploads:   upload.New(d.db, releases, d.host),
		UploadDir: d.path(uploadsDir),
		Name:      d.config.Name, UUID: id, Version: apiVersion,
		Username: d.config.Admin.Username, Password: d.config.Admin.Password,
		Log: d.log.With("component", "api"),
	})
	return nil
}

// serve answers requests and brings back dead VMs until ctx ends.
func (d *director) serve(ctx context.Context) error {
	listener, err := net.Listen("tcp", d.config.Listen)
	if err != nil {
		return fmt.Errorf("listen for the API: %w", err)
	}
	server := &http.Server{
		Handler:           d.api,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{d.tls}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaders,
		ErrorLog: slog.NewLogLogger(d.log.With("component", "api").Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ServeTLS(listener, "", "") }()
	d.queue.Start()
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	var watch sync.WaitGroup
	watch.Go(func() { d.operations.Watch(watching) })
	defer func() { stopWatching(); watch.Wait() }()

	d.log.Info("director is ready", "address", listener.Addr().String(), "name", d.config.Name, "stack", d.host.Stack().Name)
	if d.config.Ready != nil {
		d.config.Ready(listener.Addr().String())
	}
	select {
	case err := <-failed:
		return fmt.Errorf("serve the API: %w", err)
	case <-ctx.Done():
	}
	d.log.Info("director is stopping")
	stopWatching()
	watch.Wait()
	// Clients still see how their tasks end; new ones are refused.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.config.StopTimeout)
	defer cancel()
	err = d.queue.Close(ending)
	closing, cancelClosing := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancelClosing()
	if shutdown := server.Shutdown(closing); shutdown != nil {
		err = errors.Join(err, server.Close())
	}
	return err
}

// close closes what open opened, in reverse.
func (d *director) close() error {
	var err error
	if d.queue != nil {
		// Does nothing after serve; ends what a failed start has queued.
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		err = d.queue.Close(ended)
	}
	if d.host != nil {
		err = errors.Join(err, d.host.Close())
	}
	if d.db != nil {
		err = errors.Join(err, d.db.Close())
	}
	return err
}

// deathNotices passes on which VMs died, also those that were found dead
// before anyone could be told.
type deathNotices struct {
	mu      sync.Mutex
	pending []string
	tell    func(cid string)
}

func (n *deathNotices) report(cid string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.tell == nil {
		n.pending = append(n.pending, cid)
		return
	}
	n.tell(cid)
}

func (n *deathNotices) deliver(tell func(cid string)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tell = tell
	for _, cid := range n.pending {
		tell(cid)
	}
	n.pending = nil
}
