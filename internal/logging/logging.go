// Package logging makes the operator's log: one JSON object a line, and the
// ids of what the context is about on each.
package logging

import (
	"context"
	"io"
	"log/slog"
)

type attrsKey struct{}

// With adds attributes that every line logged with the context carries, such
// as instance_id and operation_id.
func With(ctx context.Context, attrs ...slog.Attr) context.Context {
	earlier, _ := ctx.Value(attrsKey{}).([]slog.Attr)
	all := append(append([]slog.Attr{}, earlier...), attrs...)
	return context.WithValue(ctx, attrsKey{}, all)
}

// New makes a part's logger.
func New(w io.Writer, part string, level slog.Level) *slog.Logger {
	handler := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: withUnit})
	return slog.New(contextHandler{handler}).With("part", part)
}

// withUnit writes durations as "1.5s": slog's JSON has bare nanoseconds.
func withUnit(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

type contextHandler struct{ slog.Handler }

func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	if attrs, ok := ctx.Value(attrsKey{}).([]slog.Attr); ok {
		r.AddAttrs(attrs...)
	}
	return h.Handler.Handle(ctx, r)
}

func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextHandler{h.Handler.WithAttrs(attrs)}
}

func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name)}
}
