package postgres

import (
	"context"
	"fmt"
	"path/filepath"
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
	segment     decide.LSN // bytes of a segment of log
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
		minTimeline: number("Min recovery ending loc's timeline"), segment: decide.LSN(number("Bytes per WAL segment")),
	}
	return read, fault
}

// How pg_waldump says from where to where it has read whole records.
var recordsRead = regexp.MustCompile(`(?m)^WAL statistics between [0-9A-F]+/[0-9A-F]+ and ([0-9A-F]+/[0-9A-F]+):`)

// What pg_waldump says of the record before the place where it found none: zeros,
// or what a segment held before it was used again, of which it complains in many
// ways. Of files that it cannot read it says something else.
const noRecordAfter = "error in WAL record at "

// reach returns the newest timeline of which there is log, and how far the data
// reach at least. A primary that is killed soon after its promotion has not
// written its new timeline into the control file yet.
func (c *Cluster) reach(at control) (decide.Position, error) {
	reach := decide.Position{Timeline: at.timeline, LSN: at.checkpoint}
	if recovered := (decide.Position{Timeline: at.minTimeline, LSN: at.minRecovery}); at.minTimeline > 0 && recovered.Ahead(reach) {
		reach = recovered
	}
	segments, err := filepath.Glob(c.in("pg_wal/" + strings.Repeat("[0-9A-F]", 24)))
	if err != nil {
		return reach, err
	}
	for _, segment := range segments {
		timeline, err := segmentTimeline(filepath.Base(segment))
		if err != nil {
			return reach, err
		}
		if timeline <= reach.Timeline {
			continue
		}
		history, err := c.history(timeline)
		if err != nil {
			return reach, err
		}
		if len(history) > 0 {
			reach = decide.Position{Timeline: timeline, LSN: max(history[len(history)-1].LSN, at.checkpoint)}
		}
	}
	return reach, nil
}

// endOfLog finds the end of the valid log of a server that does not run, by
// reading it from the last checkpoint on, or from the segment in which its
// timeline begins; or it says that it cannot.
func (c *Cluster) endOfLog(ctx context.Context, at control, reach decide.Position) (decide.Position, bool) {
	if at.segment == 0 {
		return decide.Position{}, false
	}
	from := at.redo
	if reach.Timeline > at.timeline {
		history, err := c.history(reach.Timeline)
		if err != nil || len(history) == 0 {
			return decide.Position{}, false
		}
		fork := history[len(history)-1].LSN
		from = max(from, fork-fork%at.segment)
	}
	until := c.endOfSegments(from, at.segment, reach.Timeline)
	// It ends with an error when the log ends, unless that is where its segments
	// end. For a segment that does not exist it would wait five seconds. Without
	// segments' names it asks any file for their size, and one that PostgreSQL
	// made ahead holds nothing yet.
	first, last := segmentName(reach.Timeline, from, at.segment), segmentName(reach.Timeline, max(until, 1)-1, at.segment)
	said, err := c.run(ctx, "pg_waldump", "--stats", "-p", c.in("pg_wal"), "-s", from.String(), "-e", until.String(), first, last)
	end, found := parseLogEnd(said, err)
	if !found {
		c.log.Warn("the end of the log is not certain", "timeline", reach.Timeline, "from", from.String(), "until", until.String(), "error", err)
	}
	return decide.Position{Timeline: reach.Timeline, LSN: end}, found
}

// endOfSegments returns where the timeline's segments end that follow each other
// on the disk, the first of which holds from; from itself when there is none.
func (c *Cluster) endOfSegments(from, size decide.LSN, timeline uint32) decide.LSN {
	end := from
	for start := from - from%size; ; start += size {
		if !exists(c.in("pg_wal/" + segmentName(timeline, start, size))) {
			return end
		}
		end = start + size
	}
}

// segmentName is the file's that holds at, in segments of size bytes.
func segmentName(timeline uint32, at, size decide.LSN) string {
	const logFile = 1 << 32 // bytes; names count segments within it
	return fmt.Sprintf("%08X%08X%08X", timeline, uint64(at/logFile), uint64(at%logFile/size))
}

// parseLogEnd reads where the last whole record ends from what pg_waldump said
// and how it ended; or that this is not where the log ends.
func parseLogEnd(said string, fault error) (decide.LSN, bool) {
	read := recordsRead.FindStringSubmatch(said)
	if read == nil || fault != nil && !strings.Contains(fault.Error(), noRecordAfter) {
		return 0, false
	}
	end, err := decide.ParseLSN(read[1])
	return end, err == nil
}
