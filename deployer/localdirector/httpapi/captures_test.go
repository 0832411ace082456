package httpapi_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/httpapi"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// capture is a request to a director and its answer.
type capture struct {
	name, method, path string
	header             map[string]string
	body               string
	status             int
	contentType, want  string
}

// readCaptures parses testdata/captures.txt: "-- name --", the request line,
// headers, an empty line and a body; "==> status content-type" and the body
// of the answer.
func readCaptures(t *testing.T) []capture {
	t.Helper()
	text, err := os.ReadFile("testdata/captures.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []capture
	for _, part := range strings.Split(string(text), "\n-- ")[1:] {
		name, rest, _ := strings.Cut(part, " --\n")
		request, answer, ok := strings.Cut(rest, "==> ")
		if !ok {
			t.Fatalf("capture %q has no answer", name)
		}
		c := capture{name: name, header: map[string]string{}}
		head, body, _ := strings.Cut(request, "\n\n")
		lines := strings.Split(strings.TrimSpace(head), "\n")
		c.method, c.path, _ = strings.Cut(lines[0], " ")
		for _, line := range lines[1:] {
			key, value, _ := strings.Cut(line, ": ")
			c.header[key] = value
		}
		c.body = strings.TrimSuffix(body, "\n")
		status, want, _ := strings.Cut(answer, "\n")
		code, contentType, _ := strings.Cut(status, " ")
		if c.status, err = strconv.Atoi(code); err != nil {
			t.Fatalf("capture %q: %v", name, err)
		}
		c.contentType, c.want = contentType, want
		list = append(list, c)
	}
	return list
}

// matches compares a body with what was captured, in which … stands for
// anything.
func matches(got, want string) bool {
	parts := strings.Split(want, "…")
	if len(parts) == 1 {
		return got == want || got+"\n" == want
	}
	return strings.HasPrefix(got, parts[0])
}

func TestAnswersAreThoseOfTheDirector(t *testing.T) {
	f := newFixture(t, func(c *httpapi.Config) { c.Queue = heldLocks{c.Queue.(*task.Queue)} })
	f.seed()
	for _, c := range readCaptures(t) {
		t.Run(c.name, func(t *testing.T) {
			got := f.do(c.method, c.path, c.header, c.body)
			if got.StatusCode != c.status {
				t.Errorf("status: got %d, want %d", got.StatusCode, c.status)
			}
			if contentType := got.Header.Get("Content-Type"); contentType != c.contentType {
				t.Errorf("content type: got %q, want %q", contentType, c.contentType)
			}
			if !matches(got.body, c.want) {
				t.Errorf("body: got\n%s\nwant\n%s", got.body, c.want)
			}
			if challenge := got.Header.Get("WWW-Authenticate"); c.status != 500 && !strings.HasPrefix(c.path, "/info") && !strings.HasPrefix(c.path, "/nosuch") &&
				c.name != "a context id that is too long" && challenge != `Basic realm="BOSH Director"` {
				t.Errorf("WWW-Authenticate: got %q", challenge)
			}
		})
	}
}
