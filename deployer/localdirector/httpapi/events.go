package httpapi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
)

// eventLimit is the page of the trail that one request gets.
const eventLimit = 200

// eventJSON is an entry of the trail; what it does not have is left out.
type eventJSON struct {
	ID         string          `json:"id"`
	ParentID   string          `json:"parent_id,omitempty"`
	Timestamp  int64           `json:"timestamp"`
	User       string          `json:"user,omitempty"`
	Action     string          `json:"action,omitempty"`
	ObjectType string          `json:"object_type,omitempty"`
	ObjectName string          `json:"object_name,omitempty"`
	Error      string          `json:"error,omitempty"`
	Task       string          `json:"task,omitempty"`
	Deployment string          `json:"deployment,omitempty"`
	Instance   string          `json:"instance,omitempty"`
	Context    json.RawMessage `json:"context"`
}

func newEventJSON(e db.Event) eventJSON {
	out := eventJSON{
		ID: strconv.FormatInt(e.ID, 10), Timestamp: e.Time.Unix(), User: e.User, Action: e.Action,
		ObjectType: e.ObjectType, ObjectName: e.ObjectName, Error: e.Error, Task: e.Task,
		Deployment: e.Deployment, Instance: e.Instance, Context: e.Context,
	}
	if e.ParentID != 0 {
		out.ParentID = strconv.FormatInt(e.ParentID, 10)
	}
	return out
}

func (a *api) listEvents(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	filter := db.EventFilter{
		Task: q.Get("task"), Deployment: q.Get("deployment"), Instance: q.Get("instance"), User: q.Get("user"),
		Action: q.Get("action"), ObjectType: q.Get("object_type"), ObjectName: q.Get("object_name"), Limit: eventLimit,
	}
	if before := q.Get("before_id"); before != "" {
		filter.BeforeID, _ = strconv.ParseInt(before, 10, 64) // what is no number is none, as in the director
	}
	for name, at := range map[string]*time.Time{"before": &filter.Before, "after": &filter.After} {
		text := q.Get(name + "_time")
		if text == "" {
			continue
		}
		parsed, ok := parseTime(text)
		if !ok {
			return &textError{http.StatusBadRequest, "Invalid " + name + " parameter: '" + text + "' ", false}
		}
		*at = parsed
	}
	rows, err := a.DB.Events(r.Context(), filter)
	if err != nil {
		return err
	}
	list := make([]eventJSON, 0, len(rows))
	for _, e := range rows {
		list = append(list, newEventJSON(e))
	}
	return writeJSON(w, list)
}

// parseTime reads seconds or one of the ways to write a time that `bosh
// events` shows and people type.
func parseTime(text string) (time.Time, bool) {
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(seconds, 0), true
	}
	for _, layout := range []string{
		time.UnixDate, time.RFC3339, "2006-01-02 15:04:05 MST", "2006-01-02 15:04:05 -0700", time.DateTime, time.DateOnly,
	} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

func (a *api) showEvent(w http.ResponseWriter, r *http.Request) error {
	notFound := &textError{http.StatusNotFound, "Event not found", false}
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return notFound
	}
	e, err := a.DB.Event(r.Context(), id)
	if err != nil {
		return orElse(err, notFound)
	}
	return writeJSON(w, newEventJSON(e))
}
