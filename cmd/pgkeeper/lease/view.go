package lease

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// prefix is where the deployment's keys are.
func (s *Store) prefix() string { return "holdfast/" + s.deployment + "/" }

// decode reads the deployment's keys.
func (s *Store) decode(pairs []*api.KVPair) (decide.View, error) {
	var view decide.View
	for _, pair := range pairs {
		if pair == nil || pair.Value == nil {
			continue
		}
		key := strings.TrimPrefix(pair.Key, s.prefix())
		var err error
		switch {
		case key == "leader":
			err = entry(pair, &view.Leader)
		case key == "members":
			err = entry(pair, &view.Members)
		case key == "sync":
			err = entry(pair, &view.Sync)
		case key == "initialized":
			err = entry(pair, &view.Initialized)
		case strings.HasPrefix(key, "nodes/"):
			one := decide.Registration{}
			err = json.Unmarshal(pair.Value, &one)
			one.Node = decide.Node(strings.TrimPrefix(key, "nodes/"))
			view.Nodes = append(view.Nodes, one)
		}
		if err != nil {
			return decide.View{}, fmt.Errorf("read the key %s: %w", pair.Key, err)
		}
	}
	sort.Slice(view.Nodes, func(i, j int) bool { return view.Nodes[i].Node < view.Nodes[j].Node })
	return view, nil
}

func entry[T any](pair *api.KVPair, into *decide.Entry[T]) error {
	into.Index = pair.ModifyIndex
	return json.Unmarshal(pair.Value, &into.Value)
}
