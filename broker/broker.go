package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/pivotal-cf/brokerapi/v10"
	"github.com/pivotal-cf/brokerapi/v10/domain"

	"github.com/holdfast-osb/holdfast/broker/gate"
	"github.com/holdfast-osb/holdfast/broker/operation"
	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/spi"
	"github.com/holdfast-osb/holdfast/store"
)

// Broker is a service broker.
type Broker struct {
	cfg      Config
	store    store.Store
	services map[string]spi.Service
	deployer deployer.Service
	log      *slog.Logger
	worker   *operation.Worker
	metrics  *metrics
	handler  http.Handler
	offered  atomic.Pointer[catalog]
}

var _ domain.ServiceBroker = (*Broker)(nil)

// New makes a broker of its parts. services are the SPIs by the name that the
// store remembers them by: a name must not be given to another service later.
// The handler answers 503 until Run has read every SPI's catalog.
func New(cfg Config, s store.Store, services map[string]spi.Service, d deployer.Service, log *slog.Logger) (*Broker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if len(services) == 0 {
		return nil, errors.New("spis: at least one must be given")
	}
	if cfg.Name == "" {
		cfg.Name = "broker"
	}
	b := &Broker{cfg: cfg, store: s, services: services, deployer: d, log: log}
	b.metrics = newMetrics(s, log)
	b.worker = operation.New(operation.Config{
		// Names are given by people, so twice the same may run: the random
		// part keeps two processes from sharing leases.
		Owner: cfg.Name + "/" + rand.Text()[:8],
		Lease: cfg.Operation.Lease, Idle: cfg.Operation.Idle, CallTimeout: cfg.Operation.CallTimeout, Grace: cfg.Operation.Grace,
		Parallel: cfg.Operation.Parallel, Limits: cfg.Operation.Limits, Now: time.Now, Ended: b.metrics.operationEnded,
	}, s, services, d, log)
	// Neither lager nor brokerapi's own authentication: the library would log
	// parameters and answer in plain text. The gate does both.
	inner := brokerapi.NewWithCustomAuth(b, lager.NewLogger("broker"), func(next http.Handler) http.Handler { return next })
	b.handler = gate.New(gate.Config{
		Username: cfg.Username, Password: cfg.Password, Ready: b.ready, Admit: b.admit, Observe: b.metrics.requestAnswered, Log: log,
	}, inner)
	return b, nil
}

// Handler serves the service broker API, with basic auth, and GET /healthz
// without.
func (b *Broker) Handler() http.Handler { return b.handler }

// Operations serves GET /metrics and GET /healthz without authentication: it
// belongs on a listener that only operators reach.
func (b *Broker) Operations() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", b.metrics.handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if err := errors.Join(b.ready(), b.store.Ping(r.Context())); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// Run reads the catalogs, waiting for SPIs that are not up yet, and works on
// operations until ctx ends. It returns early only when the catalogs cannot be
// offered together.
func (b *Broker) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.worker.Run(ctx)
	}()
	err := b.waitForCatalogs(ctx)
	if err == nil {
		b.housekeep(ctx)
	}
	stop()
	<-done
	return err
}

// waitForCatalogs repeats until every SPI has answered.
func (b *Broker) waitForCatalogs(ctx context.Context) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		c, err := readCatalogs(ctx, b.services, b.cfg.DeploymentPrefix)
		if err == nil {
			b.offered.Store(c)
			b.log.Info("catalog read", "services", len(c.services))
			return nil
		}
		if errors.Is(err, errCatalog) {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		b.log.Warn("waiting for the catalogs", "error", err.Error())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// housekeep keeps the catalog fresh and the store small, and looks for
// deployments that belong to nobody.
func (b *Broker) housekeep(ctx context.Context) {
	refresh := time.NewTicker(b.cfg.CatalogRefresh)
	defer refresh.Stop()
	chores := time.NewTimer(time.Minute) // not while everything starts
	defer chores.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-refresh.C:
			b.refreshCatalog(ctx)
		case <-chores.C:
			b.purge(ctx)
			b.reportOrphans(ctx)
			chores.Reset(time.Hour)
		}
	}
}

// refreshCatalog takes over a changed catalog; one that cannot be had or
// offered leaves the earlier in place.
func (b *Broker) refreshCatalog(ctx context.Context) {
	c, err := readCatalogs(ctx, b.services, b.cfg.DeploymentPrefix)
	switch {
	case err == nil:
		b.offered.Store(c)
	case ctx.Err() == nil:
		b.log.Warn("refreshing the catalog failed, keeping the earlier", "error", err.Error())
	}
}

func (b *Broker) purge(ctx context.Context) {
	instances, operations, err := b.store.Purge(ctx, time.Now().Add(-b.cfg.Retention))
	switch {
	case err != nil && ctx.Err() == nil:
		b.log.Warn("purging the store failed", "error", err.Error())
	case instances+operations > 0:
		b.log.Info("store purged", "instances", instances, "operations", operations)
	}
}

func (b *Broker) ready() error {
	if b.offered.Load() == nil {
		return errors.New("the broker is starting and waits for its data services")
	}
	return nil
}

// admit checks service and plan against the catalog, for every verb that
// names them. An instance keeps the plan that it has, also when the catalog
// has forgotten it: it must stay deletable.
func (b *Broker) admit(ctx context.Context, req gate.Request) error {
	switch req.Verb {
	case "catalog", "last_operation", "last_binding_operation":
		// Polls may name the plan that was, or none.
		return nil
	}
	err := b.checkCatalog(req.ServiceID, req.PlanID)
	if err == nil {
		return nil
	}
	in, readErr := b.store.Instance(ctx, req.InstanceID)
	if readErr == nil && in.ServiceID == req.ServiceID && in.PlanID == req.PlanID && req.Verb != "provision" {
		return nil
	}
	return b.gateRefusal(ctx, err)
}

// checkCatalog accepts empty ids: whether they may be absent differs by verb.
func (b *Broker) checkCatalog(serviceID, planID string) error {
	if serviceID == "" {
		return nil
	}
	offering, ok := b.offered.Load().byID[serviceID]
	if !ok {
		return badRequest("service_id", "is not in the catalog")
	}
	if planID == "" || offering.plans[planID] != nil {
		return nil
	}
	for _, other := range b.offered.Load().byID {
		if other.plans[planID] != nil {
			return badRequest("plan_id", "is a plan of another service")
		}
	}
	return badRequest("plan_id", "is not in the catalog")
}

// newOperationID makes an id that tells what it is about and fits the
// deployer's pattern.
func newOperationID(kind store.Kind) string {
	return string(kind) + "-" + strings.ToLower(rand.Text())
}

// living reads an instance that is not gone. Faults: NotFound.
func (b *Broker) living(ctx context.Context, id string) (store.Instance, error) {
	in, err := b.store.Instance(ctx, id)
	if err == nil && in.State == store.Gone {
		err = fault.New(fault.NotFound, "the instance does not exist")
	}
	return in, err
}

// unfinished returns the instance's operation that has not ended, or nil.
func (b *Broker) unfinished(ctx context.Context, instanceID string) (*store.Operation, error) {
	op, err := b.store.LatestOperation(ctx, instanceID)
	if fault.Is(err, fault.NotFound) || (err == nil && op.State.Ended()) {
		return nil, nil
	}
	return &op, err
}
