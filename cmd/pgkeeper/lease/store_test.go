package lease_test

import (
	"context"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/lease"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/lease/leasetest"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/settings"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

const deployment = "postgresql-test"

func open(t *testing.T, deployment, token string, servers ...string) *lease.Store {
	t.Helper()
	s := &settings.Settings{Deployment: deployment}
	s.PostgreSQL.Port = 5432
	s.Consul = settings.Consul{Servers: servers, Token: secret.New(token)}
	store, err := lease.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func background(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func leader(node decide.Node, epoch, beat uint64) decide.Leader {
	return decide.Leader{Holder: decide.Identity("id-" + node), Node: node, Address: "10.0.0.1", Epoch: epoch, Beat: beat}
}

// dead answers nothing: connections to it are accepted by nobody.
func dead(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	return listener.Addr().String()
}

func TestConsul(t *testing.T) {
	consul := leasetest.Start(t)
	token := consul.Token(deployment)
	ctx := background(t)
	store := open(t, deployment, token, dead(t), consul.Address)

	empty, err := store.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if empty.Leader.Index != 0 || empty.AnsweredAt < empty.AskedAt {
		t.Errorf("view of nothing: %+v", empty)
	}

	// The heir has read the catalog before there is an alias in it.
	heir := open(t, deployment, token, consul.Address)
	if _, err := heir.Read(ctx); err != nil {
		t.Fatal(err)
	}

	nodes := []decide.Registration{{Node: "node-0", ID: "id-node-0", Address: "10.0.0.1"}, {Node: "node-1", ID: "id-node-1", Address: "10.0.0.2"}}
	for _, one := range nodes {
		if err := store.Register(ctx, one); err != nil {
			t.Fatal(err)
		}
	}
	members := decide.Members{{Node: "node-0", ID: "id-node-0", Address: "10.0.0.1"}}
	first := store.Write(ctx, decide.Write{
		Purpose: decide.TakeLease, Leader: decide.Entry[decide.Leader]{Value: leader("node-0", 1, 1)},
		Check:       &decide.Unchanged{},
		Initialized: &decide.Initialized{System: "7"},
		Members:     &decide.Entry[decide.Members]{Value: members},
		Sync:        &decide.Entry[decide.Sync]{Value: decide.Sync{Mode: decide.Quorum}},
		Alias:       &decide.Alias{Primary: "node-0", Address: "10.0.0.1", Replicas: []decide.Node{"node-1"}},
	}, nodes)
	if first.Outcome != decide.OK {
		t.Fatalf("first write: %v: %s", first.Outcome, first.Err)
	}
	view := first.View
	if view.Leader.Value != leader("node-0", 1, 1) || view.Initialized.Value.System != "7" || !reflect.DeepEqual(view.Nodes, nodes) ||
		!reflect.DeepEqual(view.Members.Value, members) {
		t.Errorf("view that came with the write: %+v", view)
	}

	t.Run("renew", func(t *testing.T) {
		renewed := store.Write(ctx, decide.Write{Purpose: decide.RenewLease, Leader: decide.Entry[decide.Leader]{Index: view.Leader.Index, Value: leader("node-0", 1, 2)}}, nodes)
		if renewed.Outcome != decide.OK || renewed.View.Leader.Index <= view.Leader.Index || renewed.View.Leader.Value.Beat != 2 {
			t.Errorf("got %+v", renewed)
		}
	})
	t.Run("refused", func(t *testing.T) {
		late := store.Write(ctx, decide.Write{Purpose: decide.TakeLease, Leader: decide.Entry[decide.Leader]{Index: view.Leader.Index, Value: leader("node-1", 2, 1)},
			Alias: &decide.Alias{Primary: "node-1", Address: "10.0.0.2"}}, nodes)
		if late.Outcome != decide.Refused || late.View == nil || late.View.Leader.Value.Node != "node-0" {
			t.Errorf("got %+v", late)
		}
		if got := addresses(t, consul, "primary"); !reflect.DeepEqual(got, []string{"10.0.0.1"}) {
			t.Errorf("a refused write moved the alias: %v", got)
		}
	})
	t.Run("members that changed refuse a takeover", func(t *testing.T) {
		now, err := store.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got := store.Write(ctx, decide.Write{Purpose: decide.TakeLease, Leader: decide.Entry[decide.Leader]{Index: now.Leader.Index, Value: leader("node-1", 2, 1)},
			Check: &decide.Unchanged{Members: now.Members.Index + 1, Sync: now.Sync.Index}}, nodes)
		if got.Outcome != decide.Refused {
			t.Errorf("got %v", got.Outcome)
		}
	})
	t.Run("alias", func(t *testing.T) { moveAlias(t, consul, heir, nodes) })
	t.Run("watch", func(t *testing.T) { watch(t, consul, store, nodes) })
	t.Run("others", func(t *testing.T) { strangers(t, consul, token) })
	t.Run("frozen server", func(t *testing.T) { frozen(t, consul, store) })
}

// addresses asks the catalog as DNS does.
func addresses(t *testing.T, consul *leasetest.Server, tag string) []string {
	t.Helper()
	found, _, err := consul.Client.Catalog().Service(deployment, tag, nil)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, one := range found {
		list = append(list, one.ServiceAddress)
	}
	return list
}

// moveAlias names the heir, which was a replica until now, in one transaction.
func moveAlias(t *testing.T, consul *leasetest.Server, heir *lease.Store, nodes []decide.Registration) {
	ctx := background(t)
	now, err := heir.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := decide.Alias{Primary: "node-1", Address: "10.0.0.2"}
	moved := heir.Write(ctx, decide.Write{Purpose: decide.RenewLease, Alias: &want,
		Leader: decide.Entry[decide.Leader]{Index: now.Leader.Index, Value: leader("node-1", 2, 1)}}, nodes)
	if moved.Outcome != decide.OK {
		t.Fatalf("got %v: %s", moved.Outcome, moved.Err)
	}
	for tag, want := range map[string][]string{"primary": {"10.0.0.2"}, "replica": nil, "node-0": {"10.0.0.1"}, "node-1": {"10.0.0.2"}} {
		if got := addresses(t, consul, tag); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", tag, got, want)
		}
	}
	fresh := open(t, deployment, leasetest.MasterToken, consul.Address)
	view, err := fresh.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(view.Alias, want) {
		t.Errorf("alias read by another: got %+v, want %+v", view.Alias, want)
	}
}

func watch(t *testing.T, consul *leasetest.Server, store *lease.Store, nodes []decide.Registration) {
	ctx, stop := context.WithCancel(background(t))
	defer stop()
	views := make(chan decide.View, 100)
	other := open(t, deployment, leasetest.MasterToken, consul.Address)
	go other.Watch(ctx, func(v decide.View) { views <- v }, func(_ decide.Instant, err error) { t.Error(err) })
	seen := <-views
	value := seen.Leader.Value
	value.Released = true
	began := time.Now()
	if got := store.Write(ctx, decide.Write{Purpose: decide.ReleaseLease, Leader: decide.Entry[decide.Leader]{Index: seen.Leader.Index, Value: value}}, nodes); got.Outcome != decide.OK {
		t.Fatal(got.Err)
	}
	for !seen.Leader.Value.Released {
		seen = <-views
	}
	t.Logf("a release is seen after %s", time.Since(began))
	if took := time.Since(began); took > 300*time.Millisecond {
		t.Errorf("seen after %s", took)
	}
}

// strangers shows that a deployment's token opens nothing of another's.
func strangers(t *testing.T, consul *leasetest.Server, token string) {
	ctx := background(t)
	if _, err := consul.Client.KV().Put(&api.KVPair{Key: "holdfast/other/leader", Value: []byte(`{"holder":"x"}`)}, nil); err != nil {
		t.Fatal(err)
	}
	theirs := open(t, "other", token, consul.Address)
	if view, err := theirs.Read(ctx); err == nil && view.Leader.Index != 0 {
		t.Errorf("another's lease can be read: %+v", view.Leader)
	}
	got := theirs.Write(ctx, decide.Write{Purpose: decide.TakeLease, Leader: decide.Entry[decide.Leader]{Value: leader("node-0", 1, 1)}}, nil)
	if got.Outcome == decide.OK {
		t.Error("another's lease can be taken")
	}
	if err := theirs.Register(ctx, decide.Registration{Node: "node-9"}); err == nil {
		t.Error("a node can be registered with another deployment")
	}
}

func frozen(t *testing.T, consul *leasetest.Server, store *lease.Store) {
	ctx := background(t)
	consul.Freeze(true)
	defer consul.Freeze(false)
	began := time.Now()
	got := store.Write(ctx, decide.Write{Purpose: decide.RenewLease, Leader: decide.Entry[decide.Leader]{Index: 1, Value: leader("node-0", 1, 1)}}, nil)
	if got.Outcome != decide.Unknown {
		t.Errorf("a write that was not answered: got %v", got.Outcome)
	}
	if took := time.Since(began); took > 5*time.Second/3 {
		t.Errorf("a write took %s", took)
	}
}
