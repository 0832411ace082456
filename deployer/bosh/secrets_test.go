package bosh_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/bosh"
	"github.com/holdfast-osb/holdfast/deployer/bosh/directortest"
	"github.com/holdfast-osb/holdfast/deployer/template"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

// lockedBuffer is a log that many write to.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

// TestSecretsStayInside goes through good and bad calls and looks for secrets
// in what is logged and returned.
func TestSecretsStayInside(t *testing.T) {
	var logged lockedBuffer
	log := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	fake := directortest.Start(t, directortest.Options{})
	library, err := template.Open(log, sampleTemplate)
	if err != nil {
		t.Fatal(err)
	}
	cfg := bosh.Defaults()
	cfg.URL, cfg.CACert, cfg.Username, cfg.Password, cfg.SettleTime = fake.URL, fake.CACert, fake.Username, secret.New(fake.Password), 0
	direct, err := bosh.New(cfg, library, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(direct.Close)
	s := overHTTP(t, direct)

	var said []string
	note := func(err error) {
		if err != nil {
			said = append(said, err.Error())
		}
	}
	for _, trouble := range []directortest.Trouble{directortest.LoseRequest, directortest.BadGateway, directortest.Refuse} {
		fake.Inject(directortest.Fault{Method: http.MethodPost, Path: "/deployments", Trouble: trouble, Status: 500, Body: "oops"})
		_, err := deploy(t.Context(), s, deployID)
		note(err)
	}
	persistDeploy(t, s, deployID)
	bad := sampleRequest()
	bad.Name, bad.OperationID = name, "deploy-0002"
	bad.Attributes = nil
	_, err = s.Deploy(t.Context(), bad)
	note(err)
	_, err = s.Deployment(t.Context(), name)
	note(err)
	persistDelete(t, s, deleteID)

	everything := logged.String() + strings.Join(said, "\n")
	if len(said) < 2 || !strings.Contains(everything, "task submitted") {
		t.Errorf("the test has seen too little:\n%s", everything)
	}
	for _, hidden := range []string{sampleRequest().SecretAttributes["key"].Reveal(), fake.Password} {
		if strings.Contains(everything, hidden) {
			t.Errorf("secret %q is shown:\n%s", hidden, everything)
		}
	}
}
