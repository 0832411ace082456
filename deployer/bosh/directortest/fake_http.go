package directortest

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

var ids = regexp.MustCompile(`^/(tasks?)/[^/]+|^/(deployments)/[^/]+`)

// handler answers like the director behind its nginx.
func (f *Fake) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /info", f.info)
	protected := map[string]http.HandlerFunc{
		"POST /deployments":                 f.postDeployment,
		"GET /deployments":                  f.listDeployments,
		"GET /deployments/{name}":           f.getDeployment,
		"DELETE /deployments/{name}":        f.deleteDeployment,
		"GET /deployments/{name}/instances": f.listInstances,
		"GET /tasks":                        f.listTasks,
		"GET /tasks/{id}":                   f.getTask,
		"GET /tasks/{id}/output":            f.getOutput,
		"DELETE /task/{id}":                 f.cancelTask,
	}
	for pattern, h := range protected {
		mux.Handle(pattern, f.authenticated(h))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		text(w, http.StatusNotFound, "Not Found: "+r.URL.Path)
	})
	return f.counted(f.trouble(mux))
}

func (f *Fake) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind := r.Method + " " + ids.ReplaceAllString(r.URL.Path, "/$1$2/N")
		f.mu.Lock()
		f.requests[kind]++
		f.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func (f *Fake) known(r *http.Request) bool {
	user, password, given := r.BasicAuth()
	return given && user == f.Username && subtle.ConstantTimeCompare([]byte(password), []byte(f.Password)) == 1
}

func (f *Fake) authenticated(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="BOSH Director"`)
		if !f.known(r) {
			text(w, http.StatusUnauthorized, fmt.Sprintf("Not authorized: '%s'\n", r.URL.Path))
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		next(w, r)
	})
}

// text and mislabelled JSON are what the director sends as text/html.
func text(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/html;charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, body)
}

func mislabelled(w http.ResponseWriter, status int, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	text(w, status, string(encoded))
}

func failure(w http.ResponseWriter, status, code int, format string, args ...any) {
	mislabelled(w, status, map[string]any{"code": code, "description": fmt.Sprintf(format, args...)})
}

func redirect(w http.ResponseWriter, r *http.Request, t *task) {
	w.Header().Set("Location", fmt.Sprintf("https://%s/tasks/%d", r.Host, t.id))
	text(w, http.StatusFound, "")
}

func (f *Fake) info(w http.ResponseWriter, r *http.Request) {
	var user any
	if f.known(r) {
		user = f.Username
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"name": "fake", "uuid": "e593e81f-1e8d-4b99-a9e3-2e8e510009df",
		"version": "276.0.0 (48cea57d)", "user": user, "cpi": "fake-cpi",
		"user_authentication": map[string]any{"type": "basic", "options": map[string]any{}}})
}

func (f *Fake) postDeployment(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != "text/yaml" {
		w.Header().Set("X-Cascade", "pass")
		text(w, http.StatusNotFound, "Endpoint '/deployments' not found.")
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var manifest any
	if err := yaml.Unmarshal(body, &manifest); err != nil {
		failure(w, http.StatusBadRequest, 440001, "Incorrect YAML structure of the uploaded manifest: %s", err)
		return
	}
	if manifest == nil {
		failure(w, http.StatusBadRequest, 440001, "Manifest should not be empty")
		return
	}
	m, ok := manifest.(map[string]any)
	if !ok {
		failure(w, http.StatusBadRequest, 440001, "Manifest should be a hash")
		return
	}
	name, ok := m["name"].(string)
	if !ok {
		failure(w, http.StatusBadRequest, 40001, "Deployment manifest must have a 'name' key")
		return
	}
	redirect(w, r, f.enqueue("create deployment", name, r.Header.Get("X-Bosh-Context-Id"), string(body), false))
}

func (f *Fake) deleteDeployment(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if f.deployments[name] == nil {
		failure(w, http.StatusNotFound, 70000, "Deployment '%s' doesn't exist", name)
		return
	}
	redirect(w, r, f.enqueue("delete deployment "+name, name, r.Header.Get("X-Bosh-Context-Id"), "", r.URL.Query().Get("force") == "true"))
}

func (f *Fake) listDeployments(w http.ResponseWriter, _ *http.Request) {
	rows := []map[string]any{}
	for _, d := range f.deployments {
		rows = append(rows, map[string]any{"name": d.name, "teams": []string{}, "locked": d.lockedBy != 0})
	}
	slices.SortFunc(rows, func(a, b map[string]any) int { return strings.Compare(a["name"].(string), b["name"].(string)) })
	mislabelled(w, http.StatusOK, rows)
}

func (f *Fake) getDeployment(w http.ResponseWriter, r *http.Request) {
	d := f.deployments[r.PathValue("name")]
	if d == nil {
		failure(w, http.StatusNotFound, 70000, "Deployment '%s' doesn't exist", r.PathValue("name"))
		return
	}
	mislabelled(w, http.StatusOK, map[string]any{"manifest": d.manifest})
}

func (f *Fake) listInstances(w http.ResponseWriter, r *http.Request) {
	d := f.deployments[r.PathValue("name")]
	if d == nil {
		failure(w, http.StatusNotFound, 70000, "Deployment '%s' doesn't exist", r.PathValue("name"))
		return
	}
	rows := []map[string]any{}
	for group, members := range d.groups {
		for i, m := range slices.Backward(members) {
			rows = append(rows, map[string]any{"agent_id": "agent-" + m.id, "cid": "vm-" + m.id, "job": group, "index": i,
				"id": m.id, "az": "z1", "ips": []string{m.address}, "expects_vm": true})
		}
	}
	mislabelled(w, http.StatusOK, rows)
}

func (t *task) row() map[string]any {
	return map[string]any{"id": t.id, "state": t.state, "description": t.description, "timestamp": t.endedAt,
		"started_at": t.startedAt, "result": t.result, "user": t.user, "deployment": t.deployment, "context_id": t.contextID}
}

func (f *Fake) listTasks(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil {
		limit = len(f.tasks)
	}
	rows := []map[string]any{}
	for _, t := range slices.Backward(f.tasks) {
		switch {
		case q.Has("deployment") && t.deployment != q.Get("deployment"):
		case q.Has("context_id") && t.contextID != q.Get("context_id"):
		case q.Get("state") != "" && !slices.Contains(strings.Split(q.Get("state"), ","), t.state):
		case q.Get("verbose") != "2" && t.description == "retrieve vm-stats":
		case len(rows) < limit:
			rows = append(rows, t.row())
		}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(rows)
}

// find answers like a director that has no such task.
func (f *Fake) find(w http.ResponseWriter, r *http.Request) *task {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		text(w, http.StatusInternalServerError, "")
		return nil
	}
	if id < 1 || id > len(f.tasks) {
		failure(w, http.StatusNotFound, 10000, "Task %d not found", id)
		return nil
	}
	return f.tasks[id-1]
}

func (f *Fake) getTask(w http.ResponseWriter, r *http.Request) {
	if t := f.find(w, r); t != nil {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(t.row())
	}
}

func (f *Fake) getOutput(w http.ResponseWriter, r *http.Request) {
	t := f.find(w, r)
	if t == nil {
		return
	}
	var output []byte
	switch r.URL.Query().Get("type") {
	case "event":
		output = t.events
	case "result", "debug", "":
	default:
		failure(w, http.StatusUnauthorized, 600000, "Unknown type %s", r.URL.Query().Get("type"))
		return
	}
	from, ranged := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	if !ranged || len(output) == 0 {
		text(w, http.StatusOK, string(output))
		return
	}
	start, err := strconv.Atoi(strings.TrimSuffix(from, "-"))
	if err != nil || start >= len(output) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", len(output)))
		text(w, http.StatusRequestedRangeNotSatisfiable, "Byte range unsatisfiable")
		return
	}
	f.requests["ranges"]++
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(output)-1, len(output)))
	text(w, http.StatusPartialContent, string(output[start:]))
}

func (f *Fake) cancelTask(w http.ResponseWriter, r *http.Request) {
	t := f.find(w, r)
	if t == nil {
		return
	}
	switch t.state {
	case "queued":
		f.end(t, "cancelled", "task cancelled", 10001, fmt.Sprintf("Task %d cancelled", t.id))
	case "processing":
		t.state, t.cancel = "cancelling", true
		f.changed.Broadcast()
	default:
		text(w, http.StatusBadRequest, fmt.Sprintf("Cannot cancel task %d: invalid state (%s)", t.id, t.state))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
