// Command leases measures how many database clusters a stack's Consul servers
// carry: so many keepers renew their lease once a second, as the real ones do,
// and what the slowest of them see is what decides.
//
//	holdfast up --detach --consul-servers 3 … && go run ./bench/leases -state /var/lib/holdfast -record bench/leases.md
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/holdfast-osb/holdfast/internal/stack"
)

func main() {
	state := flag.String("state", string(stack.DefaultFolder()), "the stack's folder")
	counts := flag.String("clusters", "1,10,30,100,300", "how many clusters, one measurement each")
	seconds := flag.Int("seconds", 15, "length of each measurement")
	record := flag.String("record", "", "file to write the table to; empty: the output only")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := recorded(ctx, *state, *counts, time.Duration(*seconds)*time.Second, *record); err != nil {
		fmt.Fprintln(os.Stderr, "leases:", err)
		os.Exit(1)
	}
}

// recorded runs and writes the table to the record as well.
func recorded(ctx context.Context, state, counts string, length time.Duration, record string) error {
	if record == "" {
		return run(ctx, os.Stdout, state, counts, length)
	}
	file, err := os.Create(record)
	if err != nil {
		return fmt.Errorf("open the record: %w", err)
	}
	return errors.Join(run(ctx, io.MultiWriter(os.Stdout, file), state, counts, length), file.Close())
}

// settings are what this program needs of the stack's.
type settings struct {
	Consul struct {
		CA              struct{ Certificate string } `json:"ca"`
		ManagementToken string                       `json:"management_token"`
		Addresses       []string                     `json:"addresses"`
	} `json:"consul"`
}

func run(ctx context.Context, out io.Writer, state, counts string, length time.Duration) error {
	content, err := os.ReadFile(filepath.Join(state, "settings.json"))
	if err != nil {
		return fmt.Errorf("read the stack's settings: %w", err)
	}
	var s settings
	if err := json.Unmarshal(content, &s); err != nil {
		return fmt.Errorf("read the stack's settings: %w", err)
	}
	if len(s.Consul.Addresses) == 0 {
		return errors.New("the stack has no Consul")
	}
	fmt.Fprintf(out, "%d Consul servers; each cluster writes its lease once a second\n\n", len(s.Consul.Addresses))
	fmt.Fprintln(out, "| clusters | renewals/s | failed | median ms | 99 % ms | max ms | CPU of the servers, % of a core | a cluster |")
	fmt.Fprintln(out, "| --- | --- | --- | --- | --- | --- | --- | --- |")
	for count := range strings.SplitSeq(counts, ",") {
		clusters, err := strconv.Atoi(count)
		if err != nil || clusters < 1 {
			return fmt.Errorf("clusters: %q is no number of clusters", count)
		}
		if err := measure(ctx, out, s, clusters, length); err != nil {
			return err
		}
	}
	return nil
}

func (s settings) client(i int) (*consulapi.Client, error) {
	config := consulapi.DefaultConfig()
	config.Address, config.Scheme, config.Token = net.JoinHostPort(s.Consul.Addresses[i%len(s.Consul.Addresses)], "8501"), "https", s.Consul.ManagementToken
	config.TLSConfig = consulapi.TLSConfig{Address: "server.dc1.holdfast.internal", CAPem: []byte(s.Consul.CA.Certificate)}
	return consulapi.NewClient(config)
}

func measure(ctx context.Context, out io.Writer, s settings, clusters int, length time.Duration) error {
	before, err := consulTicks()
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var took []time.Duration
	failed := 0
	var keepers sync.WaitGroup
	end := time.Now().Add(length)
	for i := range clusters {
		client, err := s.client(i)
		if err != nil {
			return err
		}
		keepers.Go(func() {
			lease := lease{client: client, key: fmt.Sprintf("bench/%d/leader", i)}
			defer lease.remove()
			// Keepers do not beat in step.
			next := time.Now().Add(time.Duration(i) * time.Second / time.Duration(clusters))
			for next.Before(end) && ctx.Err() == nil {
				time.Sleep(time.Until(next))
				begin := time.Now()
				err := lease.renew(ctx)
				mu.Lock()
				if took = append(took, time.Since(begin)); err != nil {
					failed++
				}
				mu.Unlock()
				next = next.Add(time.Second)
			}
		})
	}
	keepers.Wait()
	after, err := consulTicks()
	if err != nil {
		return err
	}
	slices.Sort(took)
	if len(took) == 0 {
		return ctx.Err()
	}
	ms := func(share float64) float64 {
		return float64(took[min(int(share*float64(len(took))), len(took)-1)].Microseconds()) / 1000
	}
	cpu := float64(after-before) / length.Seconds() // a tick is 10 ms: per second, a percent
	fmt.Fprintf(out, "| %d | %.1f | %d | %.1f | %.1f | %.1f | %.0f | %.2f |\n", clusters, float64(len(took))/length.Seconds(), failed, ms(.5), ms(.99), ms(1), cpu, cpu/float64(clusters))
	return nil
}

// lease is one cluster's, renewed by compare-and-set.
type lease struct {
	client *consulapi.Client
	key    string
	index  uint64
	beat   int
}

func (l *lease) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
	defer cancel()
	l.beat++
	value := fmt.Appendf(nil, `{"holder":"f3b2c1d0-0000-4000-8000-000000000000","node":"node-0","address":"10.0.0.1","epoch":1,"beat":%d}`, l.beat)
	ok, answer, _, err := l.client.Txn().Txn(consulapi.TxnOps{
		{KV: &consulapi.KVTxnOp{Verb: consulapi.KVCAS, Key: l.key, Value: value, Index: l.index}},
	}, (&consulapi.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("refused: %s", answer.Errors[0].What)
	}
	l.index = answer.Results[0].KV.ModifyIndex
	return nil
}

func (l *lease) remove() {
	if _, err := l.client.KV().Delete(l.key, nil); err != nil {
		fmt.Fprintln(os.Stderr, "leases: a key is left:", err)
	}
}

// consulTicks is the CPU time that all Consul servers of this machine have
// taken, in ticks of 10 ms: one stack must run alone.
func consulTicks() (int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	ticks := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(content), "(consul)") {
			continue // ended meanwhile, or another's
		}
		fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
		for _, field := range fields[11:13] { // utime, stime
			n, err := strconv.Atoi(field)
			if err != nil {
				return 0, fmt.Errorf("read %s: %w", file, err)
			}
			ticks += n
		}
	}
	return ticks, nil
}
