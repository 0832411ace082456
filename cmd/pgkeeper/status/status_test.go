package status_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/status"
)

type keeper struct{ asked []decide.Request }

func (k *keeper) Report() status.Report {
	return status.Report{Status: decide.Status{Node: "node-1", Position: decide.Position{Timeline: 2, LSN: 0x4022670}}}
}

func (k *keeper) Ask(_ context.Context, r decide.Request) (status.Answer, error) {
	k.asked = append(k.asked, r)
	if r.Ask == decide.AskDrain {
		return status.Answer{}, errors.New("still being worked on")
	}
	return status.Answer{Granted: r.Target == "node-2", Why: "because"}, nil
}

func TestHandler(t *testing.T) {
	k := &keeper{}
	server := httptest.NewServer(status.Handler(k, "right"))
	defer server.Close()
	for _, c := range []struct {
		name, method, path, token, body string
		code                            int
		want                            string
	}{
		{"status", http.MethodGet, "/v1/status", "right", "", 200, `"lsn":"0/4022670"`},
		{"no token", http.MethodGet, "/v1/status", "", "", 401, ""},
		{"wrong token", http.MethodPost, "/v1/switchover", "wrong", "{}", 401, ""},
		{"granted", http.MethodPost, "/v1/switchover", "right", `{"target":"node-2"}`, 200, `"granted":true`},
		{"refused", http.MethodPost, "/v1/promise", "right", `{"holder":"x","epoch":3}`, 200, `"because"`},
		{"unknown key", http.MethodPost, "/v1/promise", "right", `{"hold":"x"}`, 400, ""},
		{"not ended", http.MethodPost, "/v1/drain", "right", `{}`, 503, "still being worked on"},
		{"unknown door", http.MethodPost, "/v1/open", "right", `{}`, 404, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequest(c.method, server.URL+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+c.token)
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body := new(strings.Builder)
			if err := response.Write(body); err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != c.code || !strings.Contains(body.String(), c.want) {
				t.Errorf("got %d %s", response.StatusCode, body)
			}
		})
	}
	want := decide.Request{Ask: decide.AskPromise, Holder: "x", Epoch: 3}
	if len(k.asked) != 3 || k.asked[1] != want {
		t.Errorf("asked: %+v", k.asked)
	}
}
