package bosh

import (
	"fmt"
	"strings"
	"testing"
)

// The events of a first deploy of two instances with a package to compile, as
// a director wrote them (times left out).
const firstDeploy = `{"stage":"Preparing deployment","tags":[],"total":1,"task":"Preparing deployment","index":1,"state":"started","progress":0}
{"stage":"Preparing deployment","tags":[],"total":1,"task":"Preparing deployment","index":1,"state":"finished","progress":100}
{"stage":"Preparing deployment","tags":[],"total":1,"task":"Rendering templates","index":2,"state":"started","progress":0}
{"stage":"Preparing deployment","tags":[],"total":1,"task":"Rendering templates","index":2,"state":"finished","progress":100}
{"stage":"Preparing package compilation","tags":[],"total":1,"task":"Finding packages to compile","index":1,"state":"started","progress":0}
{"stage":"Preparing package compilation","tags":[],"total":1,"task":"Finding packages to compile","index":1,"state":"finished","progress":100}
{"stage":"Compiling packages","tags":[],"total":1,"task":"hello/e1206740380319333825976524b89b3dbecd4ad104ea66210dccf7dc36b95b74","index":1,"state":"started","progress":0}
{"stage":"Compiling packages","tags":[],"total":1,"task":"hello/e1206740380319333825976524b89b3dbecd4ad104ea66210dccf7dc36b95b74","index":1,"state":"finished","progress":100}
{"stage":"Creating missing vms","tags":[],"total":2,"task":"web/cfffc224-bafa-4a75-8fcd-dcbe19029f1f (0)","index":1,"state":"started","progress":0}
{"stage":"Creating missing vms","tags":[],"total":2,"task":"web/f4e2fb35-c46f-4710-abf3-93abc1331f2b (1)","index":2,"state":"started","progress":0}
{"stage":"Creating missing vms","tags":[],"total":2,"task":"web/cfffc224-bafa-4a75-8fcd-dcbe19029f1f (0)","index":1,"state":"finished","progress":100}
{"stage":"Creating missing vms","tags":[],"total":2,"task":"web/f4e2fb35-c46f-4710-abf3-93abc1331f2b (1)","index":2,"state":"finished","progress":100}
{"stage":"Updating instance","tags":["web"],"total":2,"task":"web/cfffc224-bafa-4a75-8fcd-dcbe19029f1f (0) (canary)","index":1,"state":"started","progress":0}
{"stage":"Updating instance","tags":["web"],"total":2,"task":"web/cfffc224-bafa-4a75-8fcd-dcbe19029f1f (0) (canary)","index":1,"state":"in_progress","progress":70,"data":{"status":"executing pre-start"}}
{"stage":"Updating instance","tags":["web"],"total":2,"task":"web/cfffc224-bafa-4a75-8fcd-dcbe19029f1f (0) (canary)","index":1,"state":"finished","progress":100}
{"stage":"Updating instance","tags":["web"],"total":2,"task":"web/f4e2fb35-c46f-4710-abf3-93abc1331f2b (1)","index":2,"state":"started","progress":0}
{"stage":"Updating instance","tags":["web"],"total":2,"task":"web/f4e2fb35-c46f-4710-abf3-93abc1331f2b (1)","index":2,"state":"finished","progress":100}
`

func TestProgressOfADeploy(t *testing.T) {
	want := []string{ // done, stage: message, after each line
		"0 Preparing deployment: Preparing deployment", "3 Preparing deployment: Preparing deployment",
		"3 Preparing deployment: Rendering templates", "3 Preparing deployment: Rendering templates",
		"3 Preparing package compilation: Finding packages to compile", "5 Preparing package compilation: Finding packages to compile",
		"5 Compiling packages: hello", "35 Compiling packages: hello",
		"35 Creating missing vms: web/0", "35 Creating missing vms: web/1", "47 Creating missing vms: web/0", "60 Creating missing vms: web/1",
		"60 Updating instance: web/0", "72 Updating instance: web/0: executing pre-start", "78 Updating instance: web/0",
		"78 Updating instance: web/1", "96 Updating instance: web/1",
	}
	var s story
	i := 0
	for line := range strings.Lines(firstDeploy) {
		s.feed([]byte(line))
		p := s.progress()
		if got := fmt.Sprintf("%d %s: %s", p.Done, p.Stage, p.Message); got != want[i] || p.Total != 100 {
			t.Errorf("line %d: got %q of %d, want %q of 100", i+1, got, p.Total, want[i])
		}
		i++
	}
}

// TestProgressByAnyChunks feeds the same output in pieces of every size: the
// end is the same and nothing goes backwards.
func TestProgressByAnyChunks(t *testing.T) {
	output := firstDeploy + strings.ReplaceAll(strings.ReplaceAll(firstDeploy, `["web"]`, `["db"]`), `"total":2`, `"total":4`)
	var whole story
	whole.feed([]byte(output))
	for size := 1; size < len(output); size += 37 {
		var s story
		before := 0
		for at := 0; at < len(output); at += size {
			s.feed([]byte(output[at:min(at+size, len(output))]))
			if s.progress().Done < before {
				t.Fatalf("pieces of %d: %d after %d", size, s.progress().Done, before)
			}
			before = s.progress().Done
		}
		if s.progress() != whole.progress() || s.offset != int64(len(output)) {
			t.Errorf("pieces of %d: got %+v at %d, want %+v at %d", size, s.progress(), s.offset, whole.progress(), len(output))
		}
	}
	if whole.progress().Done > wholeTask {
		t.Errorf("got %+v", whole.progress())
	}
}

func TestProgressSurvivesWhatItDoesNotKnow(t *testing.T) {
	var s story
	s.feed([]byte("\nnot json\n[1]\n{}\n" + `{"stage":"Something new","total":0,"task":"x","index":1,"state":"finished","progress":1000}` + "\n" +
		`{"stage":"Updating instance","tags":["web"],"total":1,"task":"web/cfffc224-bafa-4a75-8fcd-dcbe19029f1f (0)","index":1,"state":"failed","progress":100,"data":{"error":"no"}}` + "\n" +
		`{"time":1,"error":{"code":450001,"message":"Action Failed get_task: 1 of 1 pre-start scripts failed. Failed Jobs: web."}}` + "\n" + `{"stage":"half a li`))
	if p := s.progress(); p.Done != 90 || p.Message != "web/0" {
		t.Errorf("progress: got %+v", p)
	}
	if want := "Action Failed get_task: 1 of 1 pre-start scripts failed. Failed Jobs: web. (code 450001)"; s.failure != want {
		t.Errorf("failure: got %q, want %q", s.failure, want)
	}
}
