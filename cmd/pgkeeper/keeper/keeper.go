package keeper

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/boottime"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/guard"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/postgres"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/settings"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/status"
)

// store is the deployment's part of Consul (lease.Store).
type store interface {
	Watch(ctx context.Context, seen func(decide.View), failed func(decide.Instant, error))
	Write(ctx context.Context, w decide.Write, nodes []decide.Registration) decide.Result
	Register(ctx context.Context, r decide.Registration) error
}

// Keeper keeps one node.
type Keeper struct {
	settings *settings.Settings
	config   decide.Config
	cluster  *postgres.Cluster
	guard    guard.Client
	store    store
	peers    *status.Client
	log      *slog.Logger

	wake     chan struct{} // something changed: decide
	look     chan struct{} // look at the server now
	inspect  chan struct{} // look at the data now
	ensured  chan struct{} // the node has become primary
	extend   chan decide.Instant
	serverMu sync.Mutex // held by the action that works on PostgreSQL, and by who looks at the disk

	decided atomic.Bool // since the guard was last told

	mu    sync.Mutex // guards what follows
	facts facts
}

// facts are what is known between two decisions.
type facts struct {
	guard     guard.State
	reachable bool
	// remainsSince is when the postmaster was found gone.
	remainsSince decide.Instant
	server       decide.Server
	serverOf     uint64 // the start that server was read from
	silence      string // why the server did not answer last time
	data         decide.Data
	dataKnown    bool
	disk         decide.Disk
	consul       decide.Consul
	pollers      map[decide.Node]*poller
	requests     []decide.Request
	results      []decide.Result
	running      decide.Kinds
	endServer    context.CancelFunc // ends the action that works on PostgreSQL
	waiting      map[uint64]chan status.Answer
	lastID       uint64
	report       status.Report
	retired      bool
	hotUntil     decide.Instant // a new epoch has begun: peers are asked more often
	primaryOf    uint64         // the start for which the node has been noted as primary
}

// New returns a keeper that has not begun.
func New(s *settings.Settings, cluster *postgres.Cluster, store store, peers *status.Client, log *slog.Logger) *Keeper {
	return &Keeper{
		settings: s, config: s.Decide(), cluster: cluster, guard: guard.Client{Socket: s.Guard.Socket}, store: store, peers: peers, log: log,
		wake: make(chan struct{}, 1), look: make(chan struct{}, 1), inspect: make(chan struct{}, 1), ensured: make(chan struct{}, 1),
		extend: make(chan decide.Instant, 1),
		facts:  facts{pollers: map[decide.Node]*poller{}, waiting: map[uint64]chan status.Answer{}},
	}
}

// Run keeps the node until ctx ends or the guard is gone. Then nothing of the
// server is left, unless ctx ended: the guard goes on without a keeper.
func (k *Keeper) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	first, err := k.guard.Get(ctx)
	if err != nil {
		return err
	}
	k.facts.guard, k.facts.reachable = first, true
	lost := make(chan error, 1)
	go func() { lost <- k.guard.Watch(ctx, k.guardChanged) }()
	go k.store.Watch(ctx, k.viewed, k.consulFailed)
	go k.observeServer(ctx)
	go k.inspectData(ctx)
	go k.extendFence(ctx)
	go k.sayAlive(ctx)
	go k.afterPromote(ctx)
	served := make(chan error, 1)
	go func() { served <- status.Serve(ctx, k.settings, k, k.log) }()
	go k.decideForever(ctx)
	select {
	case <-ctx.Done():
		return nil
	case err := <-served:
		if ctx.Err() != nil {
			return nil
		}
		return err
	case err := <-lost:
		if ctx.Err() != nil {
			return nil
		}
		// The kernel has killed the postmaster with the guard; its children remain.
		killed, swept := guard.Sweep(k.settings.PostgreSQL.Data)
		k.log.Error("the guard is gone, the server was swept", "killed", killed, "error", swept)
		if swept == nil {
			k.guardGone(ctx)
		}
		return errors.Join(err, swept)
	}
}

// lastWords is how long a keeper goes on without its guard: it can start nothing
// any more, but give up a lease that a standby need not wait for.
const lastWords = 3 * time.Second

// remainsPatience is how long the guard may take to kill what a postmaster left behind.
const remainsPatience = 2 * time.Second

func (k *Keeper) guardGone(ctx context.Context) {
	k.mu.Lock()
	k.facts.guard.Phase, k.facts.guard.Postmaster, k.facts.reachable = guard.Gone, 0, false
	k.mu.Unlock()
	nudge(k.inspect)
	nudge(k.wake)
	timer := time.NewTimer(lastWords)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// decideForever decides whenever something changed and at least every tick.
func (k *Keeper) decideForever(ctx context.Context) {
	tick := time.NewTicker(k.config.Tick)
	defer tick.Stop()
	var state decide.State
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-k.wake:
		}
		state = k.decideOnce(ctx, state)
		k.decided.Store(true)
	}
}

func (k *Keeper) decideOnce(ctx context.Context, state decide.State) decide.State {
	k.mu.Lock()
	if !k.facts.dataKnown {
		k.mu.Unlock()
		return state
	}
	k.followNodes(ctx)
	seen := k.observation()
	state, actions := decide.Decide(k.config, state, seen)
	k.takeReport(state.Status, seen)
	var effects []func()
	for _, action := range actions {
		if effect := k.begin(ctx, action); effect != nil {
			effects = append(effects, effect)
		}
	}
	k.mu.Unlock()
	for _, effect := range effects {
		go effect()
	}
	return state
}

// observation collects what is known. mu is held.
func (k *Keeper) observation() decide.Observation {
	f := &k.facts
	seen := decide.Observation{
		Now: boottime.Now(),
		Local: decide.Local{
			Data: f.data, Server: f.serverNow(),
			Guard: decide.Guard{Reachable: f.reachable, Deadline: f.guard.Deadline},
			Disk:  f.disk,
		},
		Consul: f.consul, Peers: f.peerList(), Requests: f.requests, Results: f.results, Running: f.running,
	}
	f.requests, f.results = nil, nil
	return seen
}

// serverNow joins what the guard knows of the processes and what the server said of itself.
func (f *facts) serverNow() decide.Server {
	switch f.guard.Phase {
	case guard.Gone:
		return decide.Server{State: decide.Gone}
	case guard.Remains:
		// The guard is killing them already; only when that takes long it is an event.
		if boottime.Now().Sub(f.remainsSince) > remainsPatience {
			return decide.Server{State: decide.Remains}
		}
		return decide.Server{State: decide.Stopping}
	}
	server := decide.Server{State: decide.Starting}
	if f.serverOf == f.guard.Starts && f.server.State == decide.Up {
		server = f.server
	}
	if f.guard.Phase == guard.Stopping {
		server.State = decide.Stopping
	}
	return server
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
