package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretNeverShows(t *testing.T) {
	const value = "hunter2-very-secret"
	type nested struct {
		Name   string
		Inner  struct{ Password Secret }
		Values Values
	}
	var n nested
	n.Inner.Password = New(value)
	n.Values = Values{"a": New(value)}

	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "nested", n, "secret", n.Inner.Password)
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "nested", n, "secret", n.Inner.Password)
	encoded, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{
		"json": string(encoded), "log": logged.String(),
		"%v": fmt.Sprintf("%v", n), "%+v": fmt.Sprintf("%+v", n), "%#v": fmt.Sprintf("%#v", n), "String": n.Inner.Password.String(),
	} {
		if strings.Contains(got, value) {
			t.Errorf("%s shows the secret: %s", name, got)
		}
	}
	if got := n.Values.Reveal()["a"]; got != value {
		t.Errorf("Reveal: got %q, want %q", got, value)
	}
	if !(Secret{}).Empty() || New(value).Empty() {
		t.Error("Empty is wrong")
	}
}
