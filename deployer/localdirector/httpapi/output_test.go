package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

func TestOutputByRange(t *testing.T) {
	f := newFixture(t)
	f.work.do = func(_ context.Context, run *task.Run) (string, error) {
		fmt.Fprint(run.Result(), "0123456789")
		return "", nil
	}
	f.task(f.do("POST", "/deployments", yaml, "name: x"))
	cases := map[string]struct {
		header       string
		status       int
		body, ranged string
	}{
		"none":               {"", http.StatusOK, "0123456789", ""},
		"from":               {"bytes=4-", http.StatusPartialContent, "456789", "bytes 4-9/10"},
		"from the start":     {"bytes=0-", http.StatusPartialContent, "0123456789", "bytes 0-9/10"},
		"between":            {"bytes=2-4", http.StatusPartialContent, "234", "bytes 2-4/10"},
		"beyond the end":     {"bytes=8-99", http.StatusPartialContent, "89", "bytes 8-9/10"},
		"the last":           {"bytes=-3", http.StatusPartialContent, "789", "bytes 7-9/10"},
		"more than all":      {"bytes=-30", http.StatusPartialContent, "0123456789", "bytes 0-9/10"},
		"at the end":         {"bytes=10-", http.StatusRequestedRangeNotSatisfiable, "Byte range unsatisfiable", "bytes */10"},
		"after the end":      {"bytes=9999999-", http.StatusRequestedRangeNotSatisfiable, "Byte range unsatisfiable", "bytes */10"},
		"backwards":          {"bytes=4-2", http.StatusOK, "0123456789", ""},
		"several":            {"bytes=0-1,3-4", http.StatusOK, "0123456789", ""},
		"not a range":        {"lines=1-", http.StatusOK, "0123456789", ""},
		"an absurd number":   {"bytes=99999999999999999999-", http.StatusOK, "0123456789", ""},
		"neither nor":        {"bytes=-", http.StatusOK, "0123456789", ""},
		"nothing at the end": {"bytes=-0", http.StatusRequestedRangeNotSatisfiable, "Byte range unsatisfiable", "bytes */10"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := f.do("GET", "/tasks/1/output?type=result", map[string]string{"Range": c.header}, "")
			if got.StatusCode != c.status || got.body != c.body || got.Header.Get("Content-Range") != c.ranged {
				t.Errorf("got %d %q %q, want %d %q %q", got.StatusCode, got.body, got.Header.Get("Content-Range"), c.status, c.body, c.ranged)
			}
			if got.ContentLength != int64(len(c.body)) {
				t.Errorf("content length: got %d", got.ContentLength)
			}
		})
	}
}

func TestOutputsOfATask(t *testing.T) {
	f := newFixture(t)
	f.work.do = func(_ context.Context, run *task.Run) (string, error) {
		run.Redact("s3cret-value")
		run.Log().Info("working", "with", "s3cret-value")
		return "", run.Stage("Stage", 1).Do("Step", func(*task.Step) error { return nil })
	}
	f.task(f.do("POST", "/deployments", yaml, "name: x"))
	for _, kind := range []string{"", "?type=debug"} {
		got := f.do("GET", "/tasks/1/output"+kind, nil, "")
		if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != "text/plain;charset=utf-8" || got.Header.Get("Last-Modified") == "" ||
			!strings.Contains(got.body, "working") || strings.Contains(got.body, "s3cret") {
			t.Errorf("debug %q: got %d %v %s", kind, got.StatusCode, got.Header, got.body)
		}
	}
	if got := f.do("GET", "/tasks/1/output?type=event", nil, ""); strings.Count(got.body, "\n") != 2 || got.Header.Get("Content-Type") != "text/html;charset=utf-8" {
		t.Errorf("event: got %v %s", got.Header, got.body)
	}
	// This task touched no VM, and "none" is a question for nothing.
	for _, kind := range []string{"cpi", "none"} {
		if got := f.do("GET", "/tasks/1/output?type="+kind, nil, ""); got.StatusCode != http.StatusNoContent {
			t.Errorf("%s: got %d %s", kind, got.StatusCode, got.body)
		}
	}
}
