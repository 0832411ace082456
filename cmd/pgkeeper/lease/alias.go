package lease

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// catalog is the last reading of the deployment's synthetic node.
type catalog struct {
	readAt   time.Time
	services []string // ids
	alias    decide.Alias
}

func (s *Store) primaryID() string                 { return s.deployment + "-primary" }
func (s *Store) replicaID(node decide.Node) string { return s.deployment + "-replica-" + string(node) }
func (s *Store) nodeID(node decide.Node) string    { return s.deployment + "-" + string(node) }

func (s *Store) alias() decide.Alias {
	s.mu.Lock()
	defer s.mu.Unlock()
	alias := s.catalog.alias
	alias.Replicas = slices.Clone(alias.Replicas)
	return alias
}

// refreshCatalog reads the catalog when the last reading is old.
func (s *Store) refreshCatalog(ctx context.Context, client *api.Client) error {
	s.mu.Lock()
	fresh := time.Since(s.catalog.readAt) < aliasAge
	s.mu.Unlock()
	if fresh {
		return nil
	}
	began := time.Now()
	node, _, err := client.Catalog().Node(s.deployment, (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx))
	if err != nil {
		return fmt.Errorf("read the alias: %w", err)
	}
	read := catalog{readAt: began}
	if node != nil {
		for id, service := range node.Services {
			read.services = append(read.services, id)
			replica, isReplica := strings.CutPrefix(id, s.deployment+"-replica-")
			switch {
			case id == s.primaryID():
				read.alias.Address = service.Address
				read.alias.Primary = decide.Node(service.Meta["node"])
			case isReplica:
				read.alias.Replicas = append(read.alias.Replicas, decide.Node(replica))
			}
		}
	}
	sort.Strings(read.services)
	slices.Sort(read.alias.Replicas)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.catalog.readAt.Before(began) {
		s.catalog = read
	}
	return nil
}

// aliasOps returns the operations that make the catalog say what the alias says,
// and the ids of the services that are there afterwards. nodes are the
// registered ones: the standbys' addresses are theirs, and each has a name of its own.
func (s *Store) aliasOps(alias decide.Alias, nodes []decide.Registration) (api.TxnOps, []string) {
	address := map[decide.Node]string{alias.Primary: alias.Address}
	names := map[decide.Node]bool{}
	for _, one := range nodes {
		names[one.Node] = true
		if one.Node != alias.Primary {
			address[one.Node] = one.Address
		}
	}
	ops := api.TxnOps{{Node: &api.NodeTxnOp{Verb: api.NodeSet, Node: api.Node{Node: s.deployment, Address: "127.0.0.1"}}}}
	var ids []string
	set := func(id, tag string, node decide.Node) {
		ids = append(ids, id)
		ops = append(ops, &api.TxnOp{Service: &api.ServiceTxnOp{Verb: api.ServiceSet, Node: s.deployment, Service: api.AgentService{
			ID: id, Service: s.deployment, Tags: []string{tag}, Address: address[node], Port: s.port, Meta: map[string]string{"node": string(node)},
		}}})
	}
	if alias.Primary != "" {
		names[alias.Primary] = true
		set(s.primaryID(), "primary", alias.Primary)
	}
	for _, node := range alias.Replicas {
		if address[node] != "" {
			set(s.replicaID(node), "replica", node)
		}
	}
	for _, node := range sortedNodes(names) {
		if address[node] != "" {
			set(s.nodeID(node), string(node), node)
		}
	}
	// What is not to be there goes in the same transaction, whether the last
	// reading of the catalog had it or not: to delete what is absent is no fault.
	s.mu.Lock()
	others := slices.Clone(s.catalog.services)
	s.mu.Unlock()
	for _, node := range sortedNodes(names) {
		others = append(others, s.replicaID(node))
	}
	slices.Sort(others)
	for _, id := range slices.Compact(others) {
		if !slices.Contains(ids, id) {
			ops = append(ops, &api.TxnOp{Service: &api.ServiceTxnOp{Verb: api.ServiceDelete, Node: s.deployment,
				Service: api.AgentService{ID: id, Service: s.deployment}}})
		}
	}
	return ops, ids
}

func sortedNodes(set map[decide.Node]bool) []decide.Node {
	var nodes []decide.Node
	for node := range set {
		nodes = append(nodes, node)
	}
	slices.Sort(nodes)
	return nodes
}

// wroteAlias notes what a transaction made of the catalog.
func (s *Store) wroteAlias(alias decide.Alias, ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catalog = catalog{readAt: time.Now(), services: ids, alias: alias}
}
