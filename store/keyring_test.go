package store_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/store"
)

func TestSealAndOpen(t *testing.T) {
	ring, err := store.NewKeyring([]store.Key{{ID: "k1", Value: secret.New(store.NewKey())}})
	if err != nil {
		t.Fatal(err)
	}
	sealed := ring.Seal("t/1", []byte("plain"))
	if bytes.Contains(sealed, []byte("plain")) {
		t.Error("the sealed value shows the plain one")
	}
	if id, _, err := store.SealedWith(sealed); id != "k1" || err != nil {
		t.Errorf("SealedWith: got %q, %v", id, err)
	}
	if got, err := ring.Open("t/1", sealed); err != nil || string(got) != "plain" {
		t.Errorf("Open: got %q, %v", got, err)
	}
	if _, err := ring.Open("t/2", sealed); err == nil {
		t.Error("a value opens in another row")
	}
	for i := range sealed {
		tampered := bytes.Clone(sealed)
		tampered[i] ^= 1
		if _, err := ring.Open("t/1", tampered); err == nil {
			t.Errorf("a value opens after byte %d was changed", i)
		}
		if _, err := ring.Open("t/1", sealed[:i]); err == nil {
			t.Errorf("a value opens after it was cut to %d bytes", i)
		}
	}
	if bytes.Equal(sealed, ring.Seal("t/1", []byte("plain"))) {
		t.Error("sealing twice gives the same bytes")
	}
}

func TestNewKeyringNamesEveryFault(t *testing.T) {
	good := secret.New(store.NewKey())
	for name, c := range map[string]struct {
		keys []store.Key
		want []string
	}{
		"none":       {nil, []string{"keys: at least one"}},
		"bad id":     {[]store.Key{{ID: "a b", Value: good}}, []string{"keys[0].id"}},
		"no id":      {[]store.Key{{Value: good}}, []string{"keys[0].id"}},
		"twice":      {[]store.Key{{ID: "a", Value: good}, {ID: "a", Value: good}}, []string{"keys[1].id"}},
		"short":      {[]store.Key{{ID: "a", Value: secret.New("c2hvcnQ=")}}, []string{"keys[0].value: must be 32 bytes, got 5"}},
		"not base64": {[]store.Key{{ID: "a", Value: secret.New("hunter2!!")}, {ID: "b c", Value: good}}, []string{"keys[0].value: must be standard base64", "keys[1].id"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := store.NewKeyring(c.keys)
			for _, part := range c.want {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("got %v, want it to contain %q", err, part)
				}
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}
