package postgres

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// control is what matters of the control file.
type control struct {
	system      string
	state       string
	timeline    uint32
	checkpoint  decide.LSN
	redo        decide.LSN
	minRecovery decide.LSN
	minTimeline uint32
}

// control reads the control file with PostgreSQL's own program.
func (c *Cluster) control(ctx context.Context) (control, error) {
	out, err := c.run(ctx, "pg_controldata", "-D", c.data())
	if err != nil {
		return control{}, err
	}
	return parseControl(out)
}

func parseControl(text string) (control, error) {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(line, ":"); found {
			values[name] = strings.TrimSpace(value)
		}
	}
	var fault error
	lsn := func(name string) decide.LSN {
		parsed, err := decide.ParseLSN(values[name])
		if err != nil {
			fault = fmt.Errorf("read %s of the control file: %w", name, err)
		}
		return parsed
	}
	number := func(name string) uint32 {
		parsed, err := strconv.ParseUint(values[name], 10, 32)
		if err != nil {
			fault = fmt.Errorf("read %s of the control file: %w", name, err)
		}
		return uint32(parsed)
	}
	read := control{
		system: values["Database system identifier"], state: values["Database cluster state"],
		timeline: number("Latest checkpoint's TimeLineID"), checkpoint: lsn("Latest checkpoint location"),
		redo: lsn("Latest checkpoint's REDO location"), minRecovery: lsn("Minimum recovery ending location"),
		minTimeline: number("Min recovery ending loc's timeline"),
	}
	return read, fault
}

// How pg_waldump says that the log ends, with where.
var logEnd = regexp.MustCompile(`: (?:invalid record length at|record with incorrect prev-link [0-9A-F]+/[0-9A-F]+ at|incorrect resource manager data checksum in record at) ([0-9A-F]+/[0-9A-F]+)`)

// endOfLog finds the end of the valid log of a server that does not run, by
// reading it from the last checkpoint on, or says that it cannot.
func (c *Cluster) endOfLog(ctx context.Context, at control) (decide.Position, bool) {
	timeline, from := at.timeline, at.redo
	if at.minTimeline > timeline {
		// Replay has gone on to a later timeline than the checkpoint's.
		timeline, from = at.minTimeline, at.minRecovery
	}
	// It ends with an error when the log ends, which is what is looked for.
	_, err := c.run(ctx, "pg_waldump", "--quiet", "-p", c.in("pg_wal"), "-t", strconv.Itoa(int(timeline)), "-s", from.String())
	if err == nil {
		return decide.Position{}, false
	}
	return parseLogEnd(err.Error(), timeline)
}

func parseLogEnd(text string, timeline uint32) (decide.Position, bool) {
	found := logEnd.FindStringSubmatch(text)
	if found == nil {
		return decide.Position{}, false
	}
	lsn, err := decide.ParseLSN(found[1])
	if err != nil {
		return decide.Position{}, false
	}
	return decide.Position{Timeline: timeline, LSN: lsn}, true
}
