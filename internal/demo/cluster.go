package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-osb/holdfast/internal/osbclient"
)

// Bounds of what the cluster is shown with.
const (
	failoverLimit = time.Minute
	returnLimit   = 2 * time.Minute
	// enough rows show that writing goes well, and that it goes on.
	enough = 10
)

// Marks begin the lines about an instance while something else is shown.
const (
	singleMark  = "(single) "
	clusterMark = "(cluster) "
)

// orderCluster asks for it and goes on.
func (d *demo) orderCluster(ctx context.Context) error {
	started, err := d.order(ctx, d.cluster)
	if err != nil {
		return err
	}
	d.say("asked for, with quorum commit; lines about it begin with %s", clusterMark)
	d.meanwhile(ctx, d.cluster, started, clusterMark, "is up")
	return nil
}

// meanwhile follows an instance's operation in the background.
func (d *demo) meanwhile(ctx context.Context, in *instance, started osbclient.Started, mark, then string) {
	pending := make(chan error, 1)
	in.pending = pending
	go func() {
		ctx, cancel := context.WithTimeout(ctx, provisionLimit)
		defer cancel()
		err := d.follow(ctx, in, started, mark)
		if err == nil {
			d.say("%s%s", mark, then)
		}
		pending <- err
	}()
}

// awaitBoth waits for what goes on in the background and tells what it does.
func (d *demo) awaitBoth(context.Context) error {
	return errors.Join(d.single.settle(), d.cluster.settle())
}

// settle waits for the operation in the background, if there is one.
func (in *instance) settle() error {
	if in.pending == nil {
		return nil
	}
	err := <-in.pending
	in.pending = nil
	return err
}

func (d *demo) startWriter(ctx context.Context) error {
	conn, err := d.connect(ctx, d.cluster, "")
	if err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "CREATE TABLE rows (id bigint PRIMARY KEY, written timestamptz DEFAULT now())"); err != nil {
		return fmt.Errorf("make the table: %w", err)
	}
	d.writer = startWriter(ctx, func(ctx context.Context) (*pgx.Conn, error) { return d.connect(ctx, d.cluster, "") })
	return d.awaitAcks(ctx, failoverLimit, func(acks []ack) bool { return len(acks) >= enough }, func() {
		acks := d.writer.acked()
		d.say("%d rows acknowledged by %s", len(acks), d.cluster.node(acks[len(acks)-1].address).short())
	})
}

// awaitAcks waits for a condition on what was acknowledged, with signs of life.
func (d *demo) awaitAcks(ctx context.Context, limit time.Duration, enough func([]ack) bool, then func()) error {
	begin := time.Now()
	tick, life := time.NewTicker(20*time.Millisecond), time.NewTicker(time.Second)
	defer tick.Stop()
	defer life.Stop()
	for {
		if acks := d.writer.acked(); enough(acks) {
			then()
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-life.C:
			if since := d.writer.silent(); since > time.Second {
				d.say("no row is acknowledged for %.0f s: %s", since.Seconds(), d.writer.lastFault())
			}
		case <-tick.C:
			if time.Since(begin) > limit {
				return fmt.Errorf("rows are not acknowledged as they should be after %s; the last fault: %s", limit, d.writer.lastFault())
			}
		}
	}
}

// killPrimary ends the VM that acknowledged last, and shows how long nothing is
// acknowledged.
func (d *demo) killPrimary(ctx context.Context) error {
	before := d.writer.acked()
	last := before[len(before)-1]
	d.killed = d.cluster.node(last.address)
	d.say("its processes are killed, all at once; the director waits %s before it makes a new VM", d.config.Stack.ResurrectionDelay)
	d.killedAt = time.Now()
	if err := d.config.Stack.Folder.KillVM(d.killed.address); err != nil {
		return err
	}
	d.say("%s is dead", d.killed.short())
	return d.awaitAcks(ctx, failoverLimit, func(acks []ack) bool {
		_, first, over := outage(acks, last.session)
		return over && acks[len(acks)-1].at.Sub(first.at) > enough*writePause // it goes on
	}, func() {
		lasted, first, _ := outage(d.writer.acked(), last.session)
		d.say("%s acknowledges now; between the last row before and the first one after: %.2f s", d.cluster.node(first.address).short(), lasted.Seconds())
	})
}

// countRows looks for every acknowledged row.
func (d *demo) countRows(ctx context.Context) error {
	d.writer.stop()
	conn, err := d.connect(ctx, d.cluster, "")
	if err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	stored, err := storedRows(ctx, conn)
	if err != nil {
		return err
	}
	acks := d.writer.acked()
	if lost := missing(acks, stored); lost > 0 {
		return fmt.Errorf("%d of %d acknowledged rows are lost", lost, len(acks))
	}
	d.say("all %d acknowledged rows are there, none is lost", len(acks))
	return nil
}

func storedRows(ctx context.Context, conn *pgx.Conn) (map[int64]bool, error) {
	rows, err := conn.Query(ctx, "SELECT id FROM rows")
	if err != nil {
		return nil, fmt.Errorf("read the rows back: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("read the rows back: %w", err)
	}
	stored := map[int64]bool{}
	for _, id := range ids {
		stored[id] = true
	}
	return stored, nil
}

func missing(acks []ack, stored map[int64]bool) (lost int) {
	for _, a := range acks {
		if !stored[a.id] {
			lost++
		}
	}
	return lost
}

// awaitThirdNode waits until the killed node follows the new primary and has all
// rows.
func (d *demo) awaitThirdNode(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, returnLimit)
	defer cancel()
	begin := time.Now()
	for {
		err := d.follows(ctx, d.killed)
		if err == nil {
			d.say("%s is a standby with all rows, %.1f s after its VM died; nobody did anything", d.killed.short(), time.Since(d.killedAt).Seconds())
			return nil
		}
		if d.silent(longestSilence) {
			d.say("%5.1f s  %s: %s", time.Since(begin).Seconds(), d.killed.short(), oneLine(err))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not back: %w", d.killed.short(), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// follows asks the node itself.
func (d *demo) follows(ctx context.Context, n node) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	conn, err := d.connect(ctx, d.cluster, n.name)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var standby bool
	if err := conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby); err != nil {
		return err
	}
	if !standby {
		return errors.New("it is no standby")
	}
	stored, err := storedRows(ctx, conn)
	if err != nil {
		return err
	}
	if lost := missing(d.writer.acked(), stored); lost > 0 {
		return fmt.Errorf("%d rows have not arrived yet", lost)
	}
	return nil
}

func (d *demo) removeCluster(ctx context.Context) error {
	if err := d.unbind(ctx, d.cluster); err != nil {
		return err
	}
	started, err := d.deprovision(ctx, d.cluster)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, provisionLimit)
	defer cancel()
	return d.follow(ctx, d.cluster, started, "")
}
