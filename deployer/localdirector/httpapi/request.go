package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

const (
	maxJSON = 1 << 20
	maxYAML = 8 << 20
)

// body reads a bounded body.
func body(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	return io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
}

// decode reads a JSON body into v.
func decode(w http.ResponseWriter, r *http.Request, v any) error {
	text, err := body(w, r, maxJSON)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return invalidJSON(text, err)
	}
	return nil
}

func invalidJSON(text []byte, err error) error {
	const shown = 60
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return task.Errorf(codeInvalidJSON, "Invalid JSON request body: unexpected token at '%.*s'", shown, text)
	}
	return task.Errorf(codeInvalidJSON, "Invalid JSON request body: %v", err)
}

// isTrue tells whether a query parameter is the word true.
func isTrue(r *http.Request, name string) bool { return r.URL.Query().Get(name) == "true" }

// deployment finds the deployment of the path.
func (a *api) deployment(r *http.Request) (db.Deployment, error) {
	name := r.PathValue("deployment")
	d, err := a.DB.Deployment(r.Context(), name)
	return d, orElse(err, task.Errorf(codeDeploymentNotFound, "Deployment '%s' doesn't exist", name))
}

var (
	indexPattern = regexp.MustCompile(`^\d{1,9}$`)
	guidPattern  = regexp.MustCompile(`^[A-Fa-f0-9]{8}-[A-Fa-f0-9-]{27}$`)
)

// instance finds the instance of the path by its group and index or ID.
func (a *api) instance(r *http.Request, d db.Deployment) (db.Instance, error) {
	group, want := r.PathValue("group"), r.PathValue("instance")
	if !indexPattern.MatchString(want) && !guidPattern.MatchString(want) {
		return db.Instance{}, task.Errorf(codeInvalidIndex, "Invalid instance index or id '%s'", want)
	}
	instances, err := a.DB.Instances(r.Context(), d.Name)
	if err != nil {
		return db.Instance{}, err
	}
	for _, i := range instances {
		if i.Group == group && (i.ID == want || indexPattern.MatchString(want) && i.Index == atoi(want)) {
			return i, nil
		}
	}
	return db.Instance{}, task.Errorf(codeInstanceNotFound, "'%s/%s/%s' doesn't exist", d.Name, group, want)
}

// atoi reads digits that a pattern has already checked.
func atoi(digits string) int {
	n := 0
	for _, d := range digits {
		n = n*10 + int(d-'0')
	}
	return n
}

// orElse replaces the absence of a row by the director's fault.
func orElse(err error, fault error) error {
	if errors.Is(err, db.ErrNotFound) {
		return fault
	}
	return err
}
