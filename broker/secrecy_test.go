package broker_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/internal/fault"
)

// I7: whatever goes wrong, neither parameters nor credentials get into a log
// or an answer that they do not belong in.
func TestNoSecretsInLogs(t *testing.T) {
	h := start(t, impatient)
	const marker = "hunter2-secret"
	secret := provisionBody(object{"parameters": object{"label": marker}, "context": object{"token": marker}})
	h.finish("provision", "i1", h.do("PUT", instancePath("i1")+async, secret), "succeeded")
	h.want("bind", h.do("PUT", bindingPath("i1", "b1"), bindBody(object{"context": object{"token": marker}})), http.StatusCreated)
	root := h.instance("i1").Private.Prepared.Secrets["root"].Reveal()

	for _, body := range []object{
		provisionBody(object{"parameters": object{"label": marker + marker}}), // too long
		provisionBody(object{"parameters": object{"colour": marker}}),
		provisionBody(object{"parameters": object{"litres": marker}}),
	} {
		if got := h.want("a bad value", h.do("PUT", instancePath("i2")+async, body), http.StatusBadRequest); strings.Contains(got.raw, marker) {
			t.Errorf("the answer repeats the value: %s", got.raw)
		}
	}
	broken := errors.New("raw cause of the defect")
	h.kettles.Before(func(context.Context, string, string) error { return broken })
	if got := h.want("bind", h.do("PUT", bindingPath("i1", "b2"), bindBody(nil)), http.StatusInternalServerError); strings.Contains(got.raw, broken.Error()) {
		t.Errorf("the answer holds the cause: %s", got.raw)
	}
	h.kettles.Before(func(context.Context, string, string) error { panic("the kettle is broken") })
	if got := h.want("a panic", h.do("PUT", bindingPath("i1", "b3"), bindBody(nil)), http.StatusInternalServerError); strings.Contains(got.raw, "kettle is broken") || !strings.Contains(got.raw, "reference") {
		t.Errorf("after a panic: got %s", got.raw)
	}
	h.kettles.Before(func(context.Context, string, string) error { return fault.New(fault.Unavailable, "away") })
	h.finish("update", "i1", h.do("PATCH", instancePath("i1")+async, patch(object{"parameters": object{"label": marker + "2"}})), "failed")
	h.want("wrong password", h.do("GET", "/v2/catalog", nil, func(r *http.Request) { r.SetBasicAuth(username, marker) }), http.StatusUnauthorized)

	log := h.log.String()
	for what, value := range map[string]string{"a parameter": marker, "a service's secret": root, "the platform's password": password} {
		if strings.Contains(log, value) {
			t.Errorf("the log holds %s", what)
		}
	}
	for _, value := range []string{broken.Error(), "the kettle is broken"} {
		if !strings.Contains(log, value) {
			t.Errorf("the log does not hold the cause %q", value)
		}
	}
}

// The broker knows no data service.
func TestNoWordOfADataService(t *testing.T) {
	words := []string{"postgre" + "s", "psq" + "l", "pg" + "x", "my" + "sql", "re" + "dis"}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, word := range words {
			if strings.Contains(strings.ToLower(string(content)), word) {
				t.Errorf("%s mentions %s", path, word)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
