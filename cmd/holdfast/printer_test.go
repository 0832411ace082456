package main

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/internal/osbclient"
)

func TestProgress(t *testing.T) {
	var out strings.Builder
	p := newPrinter(&out, false).progress("create x")
	defer p.end()
	for _, c := range []struct {
		description, text string
		percent           float64
	}{
		{"Waiting to start", "Waiting to start", 0},
		{"Updating instance (3/9)", "Updating instance", 100.0 / 3},
		{"Updating instance 1/9", "Updating instance", 100.0 / 3}, // never falls
		{"Copying: 50 %", "Copying: 50 %", 50},
		{"Copying 12/0", "Copying", 50},
		{"Overfull 9/3", "Overfull", 100},
	} {
		p.report(osbclient.LastOperation{Description: c.description})
		if p.text != c.text || p.rank*100 < c.percent-0.01 || p.rank*100 > c.percent+0.01 {
			t.Errorf("%q: got %q at %.1f %%, want %q at %.1f %%", c.description, p.text, p.rank*100, c.text, c.percent)
		}
	}
	lines := strings.Count(out.String(), "\n")
	if lines != 5 {
		t.Errorf("%d lines, want one a change of text:\n%s", lines, out.String())
	}
	p.said = p.said.Add(-2 * longestSilence)
	p.report(osbclient.LastOperation{Description: "Overfull 9/3"})
	if got := strings.Count(out.String(), "\n"); got != lines+1 {
		t.Errorf("after a long silence the same word is not repeated:\n%s", out.String())
	}
}

func TestProgressIsSilentForPrograms(t *testing.T) {
	var out strings.Builder
	p := newPrinter(&out, true).progress("create x")
	p.report(osbclient.LastOperation{Description: "Deploying 1/2"})
	p.end()
	if out.String() != "" {
		t.Errorf("progress with --json printed %q", out.String())
	}
}

func TestBarOnATerminal(t *testing.T) {
	var out lockedBuilder
	printer := newPrinter(&out, false)
	printer.tty = true
	p := printer.progress("create x")
	p.report(osbclient.LastOperation{Description: "Deploying 1/2"})
	deadline := time.After(10 * time.Second)
	for !strings.Contains(out.String(), "############------------]  50 %") {
		select {
		case <-deadline:
			t.Fatalf("no bar was drawn: %q", out.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	p.end()
	if !strings.HasSuffix(out.String(), "\r\x1b[K") {
		t.Errorf("the bar is not wiped at the end: %q", out.String())
	}
}

// lockedBuilder is a Builder that two goroutines may use.
type lockedBuilder struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuilder) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuilder) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
