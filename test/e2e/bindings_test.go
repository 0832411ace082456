package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast-osb/holdfast/test/stacktest"
)

// bindings makes several of one instance: wrong ones are refused, read-only and
// limited ones are that, and their passwords are in no file and no process.
func bindings(t *testing.T, s *stacktest.Stack) {
	s.CLI("create", "postgresql", "single-small", "shared")
	for parameters, names := range map[string]string{
		`{"read_only": "yes"}`:        "parameters.read_only: ",
		`{"connection_limit": 0}`:     "parameters.connection_limit: ",
		`{"connection_limit": 1.5}`:   "parameters.connection_limit: ",
		`{"superuser": true}`:         "parameters.superuser: ",
		`{"connection_limit": 10000}`: "parameters.connection_limit: ",
	} {
		if out, err := s.Try("bind", "shared", "wrong", "-c", parameters); err == nil || !strings.Contains(err.Error(), names) {
			t.Errorf("bind with %s: got %q, %v; want a refusal that names %s", parameters, out, err, names)
		}
	}
	writer := credentials(t, s, "writer")
	reader := credentials(t, s, "reader", "-c", `{"read_only": true, "connection_limit": 1}`)
	useSQL(t, s, writer["uri"], "CREATE TABLE notes (text text)", "INSERT INTO notes VALUES ('hello')")
	if got := queryOne(t, s, reader["uri"], "SELECT text FROM notes"); got != "hello" {
		t.Errorf("the read-only binding reads %q", got)
	}
	for statement, code := range map[string]string{
		"INSERT INTO notes VALUES ('x')":                  "42501",
		"SET ROLE app_owner":                              "42501",
		"SELECT pg_read_file('/etc/passwd')":              "42501",
		"COPY notes FROM PROGRAM 'id'":                    "42501",
		"ALTER ROLE " + reader["username"] + " SUPERUSER": "42501",
		"CREATE ROLE intruder LOGIN":                      "42501",
		// An error that the server might log, with the statement.
		`SELECT 1/0 AS "` + reader["password"] + `"`: "22012",
	} {
		refusedStatement(t, s, reader["uri"], statement, code)
	}
	first, err := s.Connect(t.Context(), reader["uri"])
	if err != nil {
		t.Fatal(err)
	}
	if second, err := s.Connect(t.Context(), reader["uri"]); err == nil {
		second.Close(context.WithoutCancel(t.Context()))
		t.Error("a second connection over the limit of one")
	}
	s.CLI("unbind", "shared", "reader")
	if err := first.Ping(t.Context()); err == nil {
		t.Error("the session goes on after the unbind")
	}
	first.Close(context.WithoutCancel(t.Context()))
	refused(t, s, reader["uri"])
	nowhere(t, s, map[string]string{"the writer's password": writer["password"], "the reader's password": reader["password"]})
	s.CLI("delete", "shared")
}

// credentials binds and returns the credentials that are text.
func credentials(t *testing.T, s *stacktest.Stack, name string, flags ...string) map[string]string {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(s.CLI(append([]string{"bind", "shared", name, "--json"}, flags...)...)), &all); err != nil {
		t.Fatal(err)
	}
	text := map[string]string{}
	for key, value := range all {
		text[key] = fmt.Sprint(value)
	}
	return text
}

func refusedStatement(t *testing.T, s *stacktest.Stack, uri, statement, code string) {
	t.Helper()
	conn, err := s.Connect(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	// The refusal must rest on rights, not on the session's default.
	if _, err := conn.Exec(t.Context(), "SET default_transaction_read_only = off"); err != nil {
		t.Fatal(err)
	}
	_, err = conn.PgConn().Exec(t.Context(), statement).ReadAll()
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) || refusal.Code != code {
		t.Errorf("%.40s: got %v, want %s", statement, err, code)
	}
}

// nowhere looks for secrets in all that the stack wrote and in all processes:
// the bindings' own, those of the settings, and SCRAM verifiers in logs.
func nowhere(t *testing.T, s *stacktest.Stack, secrets map[string]string) {
	t.Helper()
	var settings map[string]any
	content, err := os.ReadFile(filepath.Join(string(s.Folder), "settings.json"))
	if err == nil {
		err = json.Unmarshal(content, &settings)
	}
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range settings {
		if text, ok := value.(string); ok && !strings.HasSuffix(key, "_address") && !strings.HasSuffix(key, "_username") {
			secrets[key] = text
		}
	}
	// Consul's are in its deployment's manifest, and so in what the director keeps.
	deployed := map[string]string{}
	consul, _ := settings["consul"].(map[string]any)
	for key, value := range consul {
		if text, ok := value.(string); ok {
			deployed["Consul's "+key] = text
		}
	}
	if len(secrets) < 7 || len(deployed) < 4 {
		t.Fatalf("only %d and %d secrets to look for", len(secrets), len(deployed))
	}
	look := func(name string, content []byte, kinds ...map[string]string) {
		for _, kind := range kinds {
			for what, secret := range kind {
				if bytes.Contains(content, []byte(secret)) {
					t.Errorf("%s is in %s", what, name)
				}
			}
		}
	}
	logs := 0
	err = filepath.WalkDir(string(s.Folder), func(path string, entry fs.DirEntry, err error) error {
		relative := strings.TrimPrefix(path, string(s.Folder)+"/")
		switch {
		case errors.Is(err, fs.ErrNotExist): // it was temporary
			return nil
		case err != nil:
			return err
		// What holds them on purpose, mode 0600; what came from outside; disks.
		case relative == "settings.json" || relative == "client.json":
			return nil
		case entry.IsDir() && (relative == "config" || relative == "director/host/disks" || relative == "director/host/stemcells" || relative == "director/blobs" || entry.Name() == "packages"):
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		look(relative, content, secrets)
		if strings.Contains(relative, "log/") || strings.Contains(relative, "tasks/") {
			logs++
			look(relative, content, deployed)
			for _, word := range []string{"SCRAM-SHA-256$", "PRIVATE KEY"} {
				if bytes.Contains(content, []byte(word)) {
					t.Errorf("%s is in the log %s", word, relative)
				}
			}
		}
		return err
	})
	if err != nil || logs < 10 {
		t.Errorf("looked at %d logs: %v", logs, err)
	}
	for _, pattern := range []string{"/proc/[0-9]*/cmdline", "/proc/[0-9]*/environ"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if content, err := os.ReadFile(file); err == nil { // else it ended
				look(file, content, secrets, deployed)
			}
		}
	}
}
