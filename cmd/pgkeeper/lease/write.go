package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/consul/api"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/boottime"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// Write carries out the transaction and returns how it ended and the reading
// that came with it, or one made afterwards when it was refused. An answer that was lost is
// Unknown: the transaction is not tried again, since only the next reading
// tells whether it happened.
func (s *Store) Write(ctx context.Context, w decide.Write, nodes []decide.Registration) decide.Result {
	result := decide.Result{Action: w, Started: boottime.Now()}
	ops, ids, err := s.operations(w, nodes)
	if err != nil {
		result.Outcome, result.Err = decide.Failed, err.Error()
		return result
	}
	var answer *api.TxnResponse
	var accepted bool
	err = s.servers.use(ctx, writeWithin, false, func(ctx context.Context, client *api.Client) error {
		result.Started = boottime.Now()
		var err error
		accepted, answer, _, err = client.Txn().Txn(ops, (&api.QueryOptions{}).WithContext(ctx))
		return err
	})
	switch {
	case err != nil && (neverSent(err) || rejected(err)):
		result.Outcome, result.Err = decide.Failed, err.Error()
	case err != nil:
		result.Outcome, result.Err = decide.Unknown, err.Error()
	case !accepted:
		result.Outcome, result.Err = decide.Refused, refusal(answer)
		if view, err := s.Read(ctx); err == nil {
			result.View = &view
		}
	default:
		if w.Alias != nil {
			s.wroteAlias(*w.Alias, ids)
		}
		s.confirm(&result, answer)
	}
	return result
}

// confirm reads the view that ends an accepted transaction.
func (s *Store) confirm(result *decide.Result, answer *api.TxnResponse) {
	var pairs []*api.KVPair
	for _, one := range answer.Results {
		pairs = append(pairs, one.KV)
	}
	view, err := s.decode(pairs)
	if err != nil {
		result.Err = err.Error()
		return
	}
	view.AskedAt, view.AnsweredAt, view.Alias = result.Started, boottime.Now(), s.alias()
	result.View = &view
}

// operations translates the write. The last operation reads the whole prefix.
func (s *Store) operations(w decide.Write, nodes []decide.Registration) (api.TxnOps, []string, error) {
	var ops api.TxnOps
	var fault error
	cas := func(key string, index uint64, value any) {
		text, err := json.Marshal(value)
		if err != nil {
			fault = fmt.Errorf("write %s: %w", key, err)
		}
		ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVCAS, Key: s.prefix() + key, Value: text, Index: index}})
	}
	unchanged := func(key string, index uint64) {
		op := &api.KVTxnOp{Verb: api.KVCheckIndex, Key: s.prefix() + key, Index: index}
		if index == 0 {
			op.Verb = api.KVCheckNotExists
		}
		ops = append(ops, &api.TxnOp{KV: op})
	}
	if w.Check != nil {
		unchanged("members", w.Check.Members)
		unchanged("sync", w.Check.Sync)
	}
	cas("leader", w.Leader.Index, w.Leader.Value)
	if w.Initialized != nil {
		cas("initialized", 0, w.Initialized)
	}
	if w.Members != nil {
		cas("members", w.Members.Index, w.Members.Value)
	}
	if w.Sync != nil {
		cas("sync", w.Sync.Index, w.Sync.Value)
	}
	var ids []string
	if w.Alias != nil {
		var more api.TxnOps
		more, ids = s.aliasOps(*w.Alias, nodes)
		ops = append(ops, more...)
	}
	ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVGetTree, Key: s.prefix()}})
	return ops, ids, fault
}

// rejected says whether Consul did not even try, for want of rights or of sense in the request.
func rejected(err error) bool {
	var status api.StatusError
	return errors.As(err, &status) && status.Code >= 400 && status.Code < 500
}

func refusal(answer *api.TxnResponse) string {
	if answer == nil || len(answer.Errors) == 0 {
		return "the transaction was refused"
	}
	return "the transaction was refused: " + answer.Errors[0].What
}
