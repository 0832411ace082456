package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/holdfast-osb/holdfast/internal/osbclient"
)

// printer writes for people, or JSON for programs.
type printer struct {
	w    io.Writer
	json bool
	tty  bool
}

func newPrinter(w io.Writer, asJSON bool) *printer {
	file, isFile := w.(*os.File)
	return &printer{w: w, json: asJSON, tty: isFile && term.IsTerminal(int(file.Fd()))}
}

func (p *printer) line(format string, args ...any) {
	if !p.json {
		fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) object(v any) error {
	encoder := json.NewEncoder(p.w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

func (p *printer) table(header []string, rows [][]string) error {
	w := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(header, "\t"))
	for _, row := range rows {
		fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	return w.Flush()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// progress shows one operation: a bar that redraws itself on a terminal, a
// line for each change elsewhere, nothing for programs.
type progress struct {
	p       *printer
	title   string
	started time.Time
	stop    chan struct{}
	stopped sync.WaitGroup

	mu   sync.Mutex
	text string
	said time.Time
	rank float64 // 0..1, never falls
}

// longestSilence is how long a line of progress is not repeated.
const longestSilence = 5 * time.Second

var (
	countPattern   = regexp.MustCompile(`\(?(\d+)/(\d+)\)?$`)
	percentPattern = regexp.MustCompile(`(\d{1,3}) ?%`)
)

func (p *printer) progress(title string) *progress {
	pr := &progress{p: p, title: title, started: time.Now(), stop: make(chan struct{})}
	if p.tty && !p.json {
		pr.stopped.Go(pr.redraw)
	}
	return pr
}

// report takes a poll's answer. Where the description ends in "3/9" or holds a
// percentage, that is how far the operation is.
func (pr *progress) report(last osbclient.LastOperation) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	text, rank := last.Description, pr.rank
	if m := countPattern.FindStringSubmatchIndex(text); m != nil {
		done, _ := strconv.ParseFloat(text[m[2]:m[3]], 64)
		if total, _ := strconv.ParseFloat(text[m[4]:m[5]], 64); total > 0 {
			rank = done / total
		}
		text = strings.TrimSpace(text[:m[0]])
	} else if m := percentPattern.FindStringSubmatch(text); m != nil {
		percent, _ := strconv.ParseFloat(m[1], 64)
		rank = percent / 100
	}
	pr.rank = min(max(rank, pr.rank), 1)
	if text == "" || text == pr.text && time.Since(pr.said) < longestSilence {
		return
	}
	pr.text, pr.said = text, time.Now()
	if !pr.p.tty && !pr.p.json {
		fmt.Fprintf(pr.p.w, "    %6s  %3.0f %%  %s\n", seconds(time.Since(pr.started)), pr.rank*100, pr.text)
	}
}

func (pr *progress) redraw() {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-pr.stop:
			fmt.Fprint(pr.p.w, "\r\x1b[K")
			return
		case <-tick.C:
			const width = 24
			pr.mu.Lock()
			full := int(pr.rank * width)
			fmt.Fprintf(pr.p.w, "\r\x1b[K%s  [%s%s] %3.0f %%  %s  %.60s", pr.title, strings.Repeat("#", full), strings.Repeat("-", width-full), pr.rank*100, seconds(time.Since(pr.started)), pr.text)
			pr.mu.Unlock()
		}
	}
}

func (pr *progress) end() {
	close(pr.stop)
	pr.stopped.Wait()
}
