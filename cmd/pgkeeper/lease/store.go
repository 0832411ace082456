package lease

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/boottime"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/settings"
)

const (
	// wait is how long Consul may hold back the answer to a reading when nothing changes.
	wait = 500 * time.Millisecond
	// aliasAge is after how long the catalog is read again; all who change the
	// alias know it already.
	aliasAge = 3 * time.Second
)

// Store is the deployment's part of Consul.
type Store struct {
	deployment string
	port       int
	servers    *servers

	mu      sync.Mutex // guards the last reading of the catalog
	catalog catalog
}

// New returns the store of the deployment that the settings name.
func New(s *settings.Settings) (*Store, error) {
	list, err := connect(s.Consul)
	if err != nil {
		return nil, err
	}
	return &Store{deployment: s.Deployment, port: s.PostgreSQL.Port, servers: list}, nil
}

// Read returns a linearizable reading.
func (s *Store) Read(ctx context.Context) (decide.View, error) {
	view, _, err := s.read(ctx, 0)
	return view, err
}

// read waits for a change after the index, if there is one, for a moment.
func (s *Store) read(ctx context.Context, after uint64) (decide.View, uint64, error) {
	var view decide.View
	var index uint64
	within := readWithin
	if after > 0 {
		within += wait
	}
	err := s.servers.use(ctx, within, true, func(ctx context.Context, client *api.Client) error {
		asked := boottime.Now()
		options := (&api.QueryOptions{RequireConsistent: true, WaitIndex: after, WaitTime: wait}).WithContext(ctx)
		pairs, meta, err := client.KV().List(s.prefix(), options)
		if err != nil {
			return fmt.Errorf("read the cluster's keys: %w", err)
		}
		if view, err = s.decode(pairs); err != nil {
			return err
		}
		view.AskedAt, view.AnsweredAt = asked, boottime.Now()
		index = meta.LastIndex
		return s.refreshCatalog(ctx, client)
	})
	if err != nil {
		return decide.View{}, 0, err
	}
	view.Alias = s.alias()
	return view, index, nil
}

// Watch calls seen with each reading, at least about twice a second and at once
// when something changes, or failed with when the attempt began, until ctx ends.
func (s *Store) Watch(ctx context.Context, seen func(decide.View), failed func(decide.Instant, error)) {
	var index uint64
	for ctx.Err() == nil {
		began := boottime.Now()
		view, next, err := s.read(ctx, index)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			index = 0
			failed(began, err)
			pause(ctx, 100*time.Millisecond)
			continue
		}
		if next < index { // Consul was restored from a backup
			next = 0
		}
		if next == 0 {
			pause(ctx, wait)
		}
		index = next
		seen(view)
	}
}

// Register writes this node's own registration.
func (s *Store) Register(ctx context.Context, r decide.Registration) error {
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.servers.use(ctx, writeWithin, true, func(ctx context.Context, client *api.Client) error {
		pair := &api.KVPair{Key: s.prefix() + "nodes/" + string(r.Node), Value: value}
		if _, err := client.KV().Put(pair, (&api.WriteOptions{}).WithContext(ctx)); err != nil {
			return fmt.Errorf("register the node: %w", err)
		}
		return nil
	})
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
