package httpapi

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strconv"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// diffSource is one side of a diff: a stored config or a text.
type diffSource struct {
	ID      *string `json:"id"`
	Content *string `json:"content"`
}

var digits = regexp.MustCompile(`\d+`)

func (s *diffSource) valid() bool {
	return s != nil && (s.ID != nil && digits.MatchString(*s.ID) || s.ID == nil && s.Content != nil)
}

type configDiff struct {
	From  *configID           `json:"from,omitempty"`
	Diff  []manifest.DiffLine `json:"diff"`
	Error string              `json:"error,omitempty"`
}

type configID struct {
	ID string `json:"id"`
}

// diffConfigs compares a text with the current version of a config, or any
// two versions or texts.
func (a *api) diffConfigs(w http.ResponseWriter, r *http.Request) error {
	var request configRequest
	if err := decode(w, r, &request); err != nil {
		return err
	}
	answer := configDiff{Diff: []manifest.DiffLine{}}
	var before, after string
	var err error
	switch {
	case request.From.valid() && request.To.valid():
		if before, err = a.diffText(r.Context(), request.From); err != nil {
			return err
		}
		if after, err = a.diffText(r.Context(), request.To); err != nil {
			return err
		}
	case request.Type != nil && request.Name != nil && request.Content != nil:
		typ, name, err := request.key()
		if err != nil {
			return err
		}
		current, err := a.current(r.Context(), typ, name)
		if err != nil {
			return err
		}
		answer.From = &configID{strconv.FormatInt(current.ID, 10)}
		before, after = current.Content, *request.Content
	default:
		return task.Errorf(codeBadConfigRequest, "The following request formats are allowed:\n"+
			`1. {"from":<config>,"to":<config>} where <config> is either {"id":"<id>"} or {"content":"<content>"}`+"\n"+
			`2. {"type":"<type>","name":"<name>","content":"<content>"}`)
	}
	lines, err := diffTexts(before, after)
	if fault, ok := errors.AsType[*manifest.Error](err); ok {
		writeJSONAs(w, http.StatusBadRequest, typeHTML, configDiff{Diff: answer.Diff, Error: "Unable to diff config content: " + fault.Message})
		return nil
	}
	if err != nil {
		return err
	}
	answer.Diff = append(answer.Diff, lines...)
	return writeHTMLJSON(w, answer)
}

func (a *api) diffText(ctx context.Context, s *diffSource) (string, error) {
	if s.ID == nil {
		return *s.Content, nil
	}
	c, err := a.config(ctx, *s.ID)
	return c.Content, err
}

// diffTexts compares two configs. The old one may be absent.
func diffTexts(before, after string) ([]manifest.DiffLine, error) {
	to, err := manifest.ReadConfig([]byte(after))
	if err != nil {
		return nil, err
	}
	var from *manifest.Document
	if before != "" {
		if from, err = manifest.ReadConfig([]byte(before)); err != nil {
			return nil, err
		}
	}
	return manifest.DiffConfigs(from, to), nil
}
