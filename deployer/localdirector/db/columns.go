package db

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// unix stores a time as seconds, which is the precision of the director's
// API; the zero time is NULL.
func unix(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.Unix(), Valid: !t.IsZero()}
}

func fromUnix(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.Unix(n.Int64, 0).UTC()
}

// jsonColumn scans a JSON text column into v and stores v as JSON text.
type jsonColumn struct{ v any }

func (c jsonColumn) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("JSON column holds %T", src)
	}
	return json.Unmarshal([]byte(text), c.v)
}

// toJSON renders v for a JSON column. It is used for types of this package
// and for valid raw messages only, which cannot fail to render.
func toJSON(v any) (string, error) {
	if raw, ok := v.(json.RawMessage); ok && len(raw) == 0 {
		return "null", nil
	}
	text, err := json.Marshal(v)
	return string(text), err
}

// rawJSON scans a caller's JSON column; the JSON null becomes nil.
type rawJSON struct{ v *json.RawMessage }

func (c rawJSON) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("JSON column holds %T", src)
	}
	if text == "null" {
		*c.v = nil
		return nil
	}
	*c.v = json.RawMessage(text)
	return nil
}

// jsonValues renders several JSON columns at once.
func jsonValues(vs ...any) ([]any, error) {
	out := make([]any, 0, len(vs))
	for _, v := range vs {
		text, err := toJSON(v)
		if err != nil {
			return nil, fmt.Errorf("encode a JSON column: %w", err)
		}
		out = append(out, text)
	}
	return out, nil
}
