package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// configTime is how the director writes when a config was made.
const configTime = "2006-01-02 15:04:05 UTC"

type configJSON struct {
	Content   string  `json:"content"`
	ID        string  `json:"id"`
	Type      string  `json:"type"`
	Name      string  `json:"name"`
	Team      *string `json:"team"`
	CreatedAt string  `json:"created_at"`
	Current   bool    `json:"current"`
}

func newConfigJSON(c db.Config) configJSON {
	return configJSON{
		Content: c.Content, ID: strconv.FormatInt(c.ID, 10), Type: c.Type, Name: c.Name,
		CreatedAt: c.CreatedAt.UTC().Format(configTime), Current: c.Current,
	}
}

func (a *api) listConfigs(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	filter := db.ConfigFilter{Type: q.Get("type"), Name: q.Get("name")}
	latest := q.Get("latest")
	if q.Has("latest") && latest != "true" && latest != "false" {
		return task.Errorf(codeBadConfigRequest, "'latest' must be 'true' or 'false'")
	}
	if q.Has("limit") {
		n, err := strconv.Atoi(q.Get("limit"))
		switch {
		case err != nil:
			return task.Errorf(codeBadConfigRequest, "'limit' must be a number")
		case n < 1:
			return task.Errorf(codeBadConfigRequest, "'limit' must be larger than zero")
		}
		filter.Limit = n
	} else {
		filter.Latest = latest != "false"
	}
	rows, err := a.DB.Configs(r.Context(), filter)
	if err != nil {
		return err
	}
	list := make([]configJSON, 0, len(rows))
	for _, c := range rows {
		list = append(list, newConfigJSON(c))
	}
	return writeHTMLJSON(w, list)
}

// config finds a config by its number, as text.
func (a *api) config(ctx context.Context, id string) (db.Config, error) {
	notFound := task.Errorf(codeConfigNotFound, "Config %s not found", id)
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return db.Config{}, notFound
	}
	c, err := a.DB.Config(ctx, n)
	return c, orElse(err, notFound)
}

func (a *api) showConfig(w http.ResponseWriter, r *http.Request) error {
	c, err := a.config(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeHTMLJSON(w, newConfigJSON(c))
}

// configRequest is the body of POST /configs and of a diff.
type configRequest struct {
	Type     *any        `json:"type"`
	Name     *any        `json:"name"`
	Content  *string     `json:"content"`
	Expected *string     `json:"expected_latest_id"`
	From     *diffSource `json:"from"`
	To       *diffSource `json:"to"`
}

// key checks the type and name.
func (c configRequest) key() (typ, name string, err error) {
	read := func(field string, v *any) (string, error) {
		if v == nil || *v == nil || *v == "" {
			return "", task.Errorf(codeBadConfigRequest, "'%s' is required", field)
		}
		s, ok := (*v).(string)
		if !ok {
			return "", task.Errorf(codeBadConfigRequest, "'%s' must be a string", field)
		}
		return s, nil
	}
	if typ, err = read("type", c.Type); err != nil {
		return "", "", err
	}
	name, err = read("name", c.Name)
	return typ, name, err
}

// content checks that the content is a YAML hash. Runtime configs are stored
// as the director writes YAML, others as they came.
func (c configRequest) content(typ string) (string, error) {
	text := ""
	if c.Content != nil {
		text = *c.Content
	}
	doc, err := manifest.ReadConfig([]byte(text))
	if err != nil {
		return "", err
	}
	if typ == "runtime" {
		return string(doc.YAML()), nil
	}
	return text, nil
}

// updateConfig stores a new version, unless nothing changed. A client can
// name the version it has seen and is refused when that is not the latest.
func (a *api) updateConfig(w http.ResponseWriter, r *http.Request) error {
	var request configRequest
	if err := decode(w, r, &request); err != nil {
		return err
	}
	typ, name, err := request.key()
	if err != nil {
		return err
	}
	content, err := request.content(typ)
	if err != nil {
		a.configEvent(r, "create", "config/"+typ, name, err)
		return err
	}
	a.configs.Lock()
	defer a.configs.Unlock()
	current, err := a.current(r.Context(), typ, name)
	if err != nil {
		return err
	}
	latest := strconv.FormatInt(current.ID, 10)
	if request.Expected != nil && *request.Expected != latest {
		writeJSONAs(w, http.StatusPreconditionFailed, typeHTML, struct {
			LatestID    string `json:"latest_id"`
			Expected    string `json:"expected_latest_id"`
			Description string `json:"description"`
		}{latest, *request.Expected, "Latest Id: '" + latest + "' does not match expected latest id"})
		return nil
	}
	if current.ID == 0 || current.Content != content {
		current, err = a.DB.AddConfig(r.Context(), db.Config{Type: typ, Name: name, Content: content, CreatedAt: a.Now()})
		if err != nil {
			return err
		}
		a.configEvent(r, "create", "config/"+typ, name, nil)
	}
	writeJSONAs(w, http.StatusCreated, typeHTML, newConfigJSON(current))
	return nil
}

// current is the newest version of a config; ID 0 when there is none.
func (a *api) current(ctx context.Context, typ, name string) (db.Config, error) {
	rows, err := a.DB.Configs(ctx, db.ConfigFilter{Type: typ, Name: name, Latest: true})
	if err != nil || len(rows) == 0 {
		return db.Config{}, err
	}
	return rows[0], nil
}

// configEvent notes a change in the trail. Losing the entry does not undo
// the change, so that is only logged.
func (a *api) configEvent(r *http.Request, action, objectType, name string, failure error) {
	e := db.Event{Time: a.Now(), User: a.user(r), Action: action, ObjectType: objectType, ObjectName: name}
	if failure != nil {
		e.Error = failure.Error()
	}
	if _, err := a.DB.AddEvent(context.WithoutCancel(r.Context()), e); err != nil {
		a.Log.Error("store an event", "error", err)
	}
}

func (a *api) deleteConfigs(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	for _, field := range []string{"type", "name"} {
		if q.Get(field) == "" {
			return task.Errorf(codeBadConfigRequest, "'%s' is required", field)
		}
	}
	n, err := a.DB.DeleteConfigs(r.Context(), q.Get("type"), q.Get("name"))
	if err != nil {
		return err
	}
	if n == 0 {
		return &textError{http.StatusNotFound, "Endpoint '/configs' not found.", false}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *api) deleteConfig(w http.ResponseWriter, r *http.Request) error {
	c, err := a.config(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := a.DB.DeleteConfig(r.Context(), c.ID); err != nil && !errors.Is(err, db.ErrNotFound) {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
