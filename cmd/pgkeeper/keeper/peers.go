package keeper

import (
	"context"
	"fmt"
	"sort"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/boottime"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/status"
)

const (
	pollEvery  = 500 * time.Millisecond
	pollHot    = 30 * time.Millisecond
	hot        = 3 * time.Second // how long after the lease has passed on
	pollWithin = time.Second
)

// poller asks one registered node for its status, again and again.
type poller struct {
	registration decide.Registration
	peer         decide.Peer
	now          chan struct{}
	stop         context.CancelFunc
}

// peerList returns the other nodes' latest answers. mu is held.
func (f *facts) peerList() []decide.Peer {
	peers := make([]decide.Peer, 0, len(f.pollers))
	for _, p := range f.pollers {
		peers = append(peers, p.peer)
	}
	sort.Slice(peers, func(i, j int) bool { return peers[i].Node < peers[j].Node })
	return peers
}

// pollNow has every node asked now. mu is held.
func (f *facts) pollNow() {
	for _, p := range f.pollers {
		nudge(p.now)
	}
}

// followNodes begins to ask nodes that are registered, and ends with those that
// are not any more. mu is held.
func (k *Keeper) followNodes(ctx context.Context) {
	registered := map[decide.Node]decide.Registration{}
	for _, one := range k.facts.consul.View.Nodes {
		if one.Node != k.settings.Node {
			registered[one.Node] = one
		}
	}
	for node, p := range k.facts.pollers {
		if now := registered[node]; now.Address != p.registration.Address || now.StatusPort != p.registration.StatusPort {
			p.stop()
			delete(k.facts.pollers, node)
		}
	}
	for node, one := range registered {
		if k.facts.pollers[node] == nil {
			within, stop := context.WithCancel(ctx)
			p := &poller{registration: one, peer: decide.Peer{Node: node}, now: make(chan struct{}, 1), stop: stop}
			k.facts.pollers[node] = p
			go k.poll(within, p)
		}
	}
}

func (k *Keeper) poll(ctx context.Context, p *poller) {
	for {
		within, cancel := context.WithTimeout(ctx, pollWithin)
		asked := boottime.Now()
		report, err := k.peers.Status(within, p.registration.Address, p.registration.StatusPort)
		cancel()
		k.mu.Lock()
		if err != nil {
			p.peer.Failing = true
		} else {
			p.peer.AskedAt, p.peer.AnsweredAt, p.peer.Status, p.peer.Failing = asked, boottime.Now(), report.Status, false
		}
		pause := pollEvery
		if boottime.Now().Before(k.facts.hotUntil) {
			pause = pollHot
		}
		k.mu.Unlock()
		nudge(k.wake)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		case <-p.now:
		}
	}
}

// askPeer posts a request to another node's keeper.
func (k *Keeper) askPeer(ctx context.Context, node decide.Node, r decide.Request) (status.Answer, error) {
	k.mu.Lock()
	p := k.facts.pollers[node]
	k.mu.Unlock()
	if p == nil {
		return status.Answer{}, fmt.Errorf("ask %s: it is not registered", node)
	}
	within, cancel := context.WithTimeout(ctx, k.config.Renew)
	defer cancel()
	return k.peers.Ask(within, p.registration.Address, p.registration.StatusPort, r)
}
