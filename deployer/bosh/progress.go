package bosh

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/holdfast-osb/holdfast/deployer"
)

// wholeTask is Progress.Total: the director does not say how many stages a
// task will have, so Done counts hundredths of an estimate.
const wholeTask = 100

// stageEnds says where a task is, in hundredths, when a stage has ended. A
// stage that is left out makes the next one longer.
var stageEnds = map[string]float64{
	"Preparing deployment":          3,
	"Preparing package compilation": 5,
	"Compiling packages":            35,
	"Creating missing vms":          60,
	"Deleting unneeded instances":   65,
	"Deleting instances":            90,
	"Removing deployment artifacts": 97,
	"Deleting properties":           99,
}

// repeatedShare is what one instance group takes of the rest, since how many
// follow is not known.
const repeatedShare = 0.9

// event is a line of a task's event output.
type event struct {
	Stage    string   `json:"stage"`
	Tags     []string `json:"tags"`
	Total    int      `json:"total"`
	Task     string   `json:"task"`
	Index    int      `json:"index"`
	State    string   `json:"state"`
	Progress float64  `json:"progress"`
	Data     struct {
		Status string `json:"status"`
	} `json:"data"`
	Error *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// story is what the events of a task have told so far. It depends on nothing
// but them, so a restart tells the same again, and it never goes backwards.
type story struct {
	offset  int64  // bytes of the output that were read
	partial []byte // of a line

	done     float64
	segments map[string]*segment
	stage    string
	message  string
	failure  string
}

// segment is a stage, or a stage for one instance group.
type segment struct {
	from, to float64
	total    int
	tasks    map[string]float64 // progress of each, 0..1
}

// feed takes more of the output.
func (s *story) feed(chunk []byte) {
	s.offset += int64(len(chunk))
	s.partial = append(s.partial, chunk...)
	for {
		line, rest, found := bytes.Cut(s.partial, []byte("\n"))
		if !found {
			return
		}
		s.partial = rest
		var e event
		if json.Unmarshal(line, &e) == nil { // whatever else a director writes there is no progress
			s.take(e)
		}
	}
}

func (s *story) take(e event) {
	if e.Error != nil {
		s.failure = fmt.Sprintf("%s (code %d)", e.Error.Message, e.Error.Code)
		return
	}
	if e.Stage == "" {
		return
	}
	g := s.segment(e)
	if g.total < e.Total {
		g.total = e.Total
	}
	if e.State == "finished" {
		e.Progress = 100
	}
	if e.State != "failed" { // its progress is 100 as well
		id := fmt.Sprint(e.Index, e.Task)
		g.tasks[id] = max(g.tasks[id], min(e.Progress, 100)/100)
	}
	s.done = max(s.done, g.position())
	s.stage = e.Stage
	s.message = describe(e)
}

func (s *story) segment(e event) *segment {
	key := fmt.Sprint(e.Stage, e.Tags)
	if g, known := s.segments[key]; known {
		return g
	}
	if s.segments == nil {
		s.segments = map[string]*segment{}
	}
	to, known := stageEnds[e.Stage]
	if !known {
		to = s.done + (wholeTask-s.done)*repeatedShare
	}
	g := &segment{from: s.done, to: max(to, s.done), tasks: map[string]float64{}}
	s.segments[key] = g
	return g
}

func (g *segment) position() float64 {
	sum := 0.0
	for _, part := range g.tasks {
		sum += part
	}
	return g.from + (g.to-g.from)*min(sum/float64(max(g.total, len(g.tasks), 1)), 1)
}

func (s *story) progress() deployer.Progress {
	return deployer.Progress{Stage: s.stage, Message: s.message, Done: int(s.done), Total: wholeTask}
}

var (
	instanceTask = regexp.MustCompile(`^([^/ ]+)/[0-9a-fA-F-]{36} \((\d+)\)`)
	packageTask  = regexp.MustCompile(`^([^/ ]+)/[0-9a-f]{40,64}$`)
)

// describe shortens "postgresql/<uuid> (0) (canary)" to "postgresql/0" and adds
// what is done to it.
func describe(e event) string {
	text := e.Task
	if m := instanceTask.FindStringSubmatch(text); m != nil {
		text = m[1] + "/" + m[2]
	} else if m := packageTask.FindStringSubmatch(text); m != nil {
		text = m[1]
	}
	if e.Data.Status != "" {
		text += ": " + e.Data.Status
	}
	return text
}
