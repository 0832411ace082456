package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/boottime"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// One query for all, so that what is read belongs together. The walreceiver and
// the startup process are looked at before the positions: what they say is then
// not newer than these.
const observation = `SELECT json_build_object(
 'recovery', pg_is_in_recovery(),
 'receiver', (SELECT json_build_object('status', status, 'timeline', received_tli) FROM pg_stat_wal_receiver),
 'receiving', EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'walreceiver'),
 'startup', (SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup'),
 'written', CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn() END,
 'segment', CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_flush_lsn()) END,
 'received', pg_last_wal_receive_lsn(), 'replayed', pg_last_wal_replay_lsn(),
 'checkpoint', (SELECT timeline_id FROM pg_control_checkpoint()),
 'recovered', (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
 'newest', CASE WHEN pg_is_in_recovery() THEN (SELECT max(substr(name, 1, 8)) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$') END,
 'upstream', current_setting('holdfast.upstream', true), 'epoch', current_setting('holdfast.epoch', true),
 'sync_names', current_setting('synchronous_standby_names'),
 'standbys', (SELECT json_agg(json_build_object('node', application_name, 'state', state, 'flushed', flush_lsn, 'priority', sync_priority))
   FROM pg_stat_replication),
 'slots', (SELECT json_agg(slot_name) FROM pg_replication_slots WHERE slot_type = 'physical'))`

type seen struct {
	Recovery bool
	Receiver *struct {
		Status   string
		Timeline *uint32
	}
	Receiving          bool // also when it is still connecting, which pg_stat_wal_receiver does not show
	Startup            *string
	Written            *decide.LSN
	Segment            *string
	Received, Replayed *decide.LSN
	Checkpoint         uint32
	Recovered          *uint32
	Newest             *string
	Upstream, Epoch    *string
	SyncNames          string `json:"sync_names"`
	Standbys           []seenStandby
	Slots              []string
}

type seenStandby struct {
	Node     string
	State    *string
	Flushed  *decide.LSN
	Priority *int
}

// Observe asks the running server. An error means that it does not answer.
func (c *Cluster) Observe(ctx context.Context) (decide.Server, error) {
	began := boottime.Now() // nothing that is seen is older
	s, err := c.look(ctx)
	if err != nil {
		return decide.Server{}, err
	}
	server := decide.Server{
		State: decide.Up, AnsweredAt: began, InRecovery: s.Recovery, ReceiverGone: s.Receiver == nil && !s.Receiving,
		Streaming: s.Receiver != nil && s.Receiver.Status == "streaming", Upstream: decide.Node(text(s.Upstream)),
		SyncNames: c.effective(parseSyncNames(s.SyncNames)),
	}
	server.UpstreamEpoch, _ = strconv.ParseUint(text(s.Epoch), 10, 64) // empty: never set
	server.Written, server.Received, server.Replayed = lsn(s.Written), lsn(s.Received), lsn(s.Replayed)
	waits := slices.Contains([]string{"RecoveryRetrieveRetryInterval", "RecoveryWalStream"}, text(s.Startup))
	server.Drained = s.Recovery && waits && server.Received <= server.Replayed
	if server.Timeline, err = s.timeline(); err != nil {
		return decide.Server{}, err
	}
	if server.History, err = c.history(server.Timeline); err != nil {
		return decide.Server{}, err
	}
	for _, one := range s.Standbys {
		// Clones and other tools stream as well.
		if strings.HasPrefix(one.Node, "node-") {
			server.Standbys = append(server.Standbys, decide.Standby{
				Node: decide.Node(one.Node), Streaming: text(one.State) == "streaming", Flushed: lsn(one.Flushed),
			})
		}
	}
	sort.Slice(server.Standbys, func(i, j int) bool { return server.Standbys[i].Node < server.Standbys[j].Node })
	for _, name := range s.Slots {
		if strings.HasPrefix(name, slotPrefix) {
			server.Slots = append(server.Slots, slotNode(name))
		}
	}
	slices.Sort(server.Slots)
	return server, nil
}

// timeline is a primary's own; of a standby the newest that it has received,
// which the control file learns only later.
func (s *seen) timeline() (uint32, error) {
	if s.Segment != nil {
		return segmentTimeline(*s.Segment)
	}
	newest := s.Checkpoint
	if s.Recovered != nil {
		newest = max(newest, *s.Recovered)
	}
	if s.Receiver != nil && s.Receiver.Timeline != nil {
		newest = max(newest, *s.Receiver.Timeline)
	}
	if s.Newest != nil {
		received, err := segmentTimeline(*s.Newest)
		if err != nil {
			return 0, err
		}
		newest = max(newest, received)
	}
	return newest, nil
}

func segmentTimeline(name string) (uint32, error) {
	if len(name) < 8 {
		return 0, fmt.Errorf("read the timeline of segment %q: too short", name)
	}
	timeline, err := strconv.ParseUint(name[:8], 16, 32)
	if err != nil {
		return 0, fmt.Errorf("read the timeline of segment %q: %w", name, err)
	}
	return uint32(timeline), nil
}

// look runs the query, which the server has planned once: to plan it takes 30 times
// as long as to run it, and a takeover looks often.
func (c *Cluster) look(ctx context.Context) (*seen, error) {
	var answer []byte
	err := c.ask(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, observation, pgx.QueryExecModeCacheStatement).Scan(&answer)
	})
	if err != nil {
		return nil, fmt.Errorf("look at the server: %w", err)
	}
	s := &seen{}
	if err := json.Unmarshal(answer, s); err != nil {
		return nil, fmt.Errorf("read what the server said of itself: %w", err)
	}
	return s, nil
}

// effective returns the names that every process of the server has.
func (c *Cluster) effective(set []decide.Node) []decide.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unsure {
		return c.pending
	}
	return set
}

func text(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

func lsn(p *decide.LSN) decide.LSN {
	if p == nil {
		return 0
	}
	return *p
}
