package httpapi

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
)

// The endpoints /cloud_configs, /runtime_configs and /cpi_configs are older
// than /configs and see the same configs; `bosh update-cloud-config` uses
// them.

func legacyName(r *http.Request) string {
	if name := r.URL.Query().Get("name"); name != "" {
		return name
	}
	return "default"
}

func (a *api) listLegacyConfigs(kind string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		text := r.URL.Query().Get("limit")
		if text == "" {
			return &textError{http.StatusBadRequest, "limit is required", false}
		}
		limit, err := strconv.Atoi(text)
		if err != nil {
			return &textError{http.StatusBadRequest, "limit is invalid: '" + text + "' is not an integer", false}
		}
		rows, err := a.DB.Configs(r.Context(), db.ConfigFilter{Type: kind, Name: legacyName(r), Limit: max(limit, 1)})
		if err != nil {
			return err
		}
		type config struct {
			Properties string `json:"properties"`
			CreatedAt  string `json:"created_at"`
		}
		list := make([]config, 0, len(rows))
		for _, c := range rows {
			list = append(list, config{c.Content, c.CreatedAt.UTC().Format(configTime)})
		}
		return writeHTMLJSON(w, list)
	}
}

func (a *api) updateLegacyConfig(kind string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		text, err := body(w, r, maxYAML)
		if err != nil {
			return err
		}
		name := legacyName(r)
		if _, err := manifest.ReadConfig(text); err != nil {
			a.configEvent(r, "update", kind+"-config", name, err)
			return err
		}
		a.configs.Lock()
		defer a.configs.Unlock()
		current, err := a.current(r.Context(), kind, name)
		if err != nil {
			return err
		}
		if current.ID == 0 || current.Content != string(text) {
			_, err := a.DB.AddConfig(r.Context(), db.Config{Type: kind, Name: name, Content: string(text), CreatedAt: a.Now()})
			if err != nil {
				return err
			}
			a.configEvent(r, "update", kind+"-config", name, nil)
		}
		writeText(w, http.StatusCreated, typeHTML, "")
		return nil
	}
}

func (a *api) diffLegacyConfig(kind string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		text, err := body(w, r, maxYAML)
		if err != nil {
			return err
		}
		current, err := a.current(r.Context(), kind, legacyName(r))
		if err != nil {
			return err
		}
		answer := configDiff{Diff: []manifest.DiffLine{}}
		lines, err := diffTexts(current.Content, string(text))
		if fault, ok := errors.AsType[*manifest.Error](err); ok {
			answer.Error = "Unable to diff " + kind + "-config: " + fault.Message
		} else if err != nil {
			return err
		}
		answer.Diff = append(answer.Diff, lines...)
		return writeHTMLJSON(w, answer)
	}
}
