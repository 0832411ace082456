// Package secret holds values that must appear in no log, error, listing or
// plain column: the only way to a value is to call Reveal where it leaves us.
package secret

import "log/slog"

// Secret is a string that prints, logs and marshals as "[redacted]", also when
// it is nested in another value. The zero Secret is empty.
type Secret struct{ p *string }

const redacted = "[redacted]"

// New wraps a value.
func New(value string) Secret { return Secret{p: &value} }

// Reveal returns the value.
func (s Secret) Reveal() string {
	if s.p == nil {
		return ""
	}
	return *s.p
}

// Empty tells whether there is no value.
func (s Secret) Empty() bool { return s.Reveal() == "" }

func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue keeps the value out of structured logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// UnmarshalText reads a value from configuration or a request.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = New(string(text))
	return nil
}

// Values is a set of named secrets.
type Values map[string]Secret

// Reveal returns the plain values, for the wire or for sealing.
func (v Values) Reveal() map[string]string {
	if v == nil {
		return nil
	}
	plain := make(map[string]string, len(v))
	for name, s := range v {
		plain[name] = s.Reveal()
	}
	return plain
}

// FromPlain wraps plain values that came from the wire or from unsealing.
func FromPlain(plain map[string]string) Values {
	if plain == nil {
		return nil
	}
	v := make(Values, len(plain))
	for name, s := range plain {
		v[name] = New(s)
	}
	return v
}
