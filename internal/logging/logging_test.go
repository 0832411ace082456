package logging

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"testing"
)

func TestLinesCarryTheContextsIDs(t *testing.T) {
	var out bytes.Buffer
	log := New(&out, "broker", slog.LevelInfo)
	ctx := With(context.Background(), slog.String("instance_id", "i1"))
	ctx = With(ctx, slog.String("operation_id", "o1"))
	log.With("a", 1).InfoContext(ctx, "step done")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"part": "broker", "instance_id": "i1", "operation_id": "o1", "a": 1.0, "msg": "step done"} {
		if line[key] != want {
			t.Errorf("%s: got %v, want %v", key, line[key], want)
		}
	}
}
