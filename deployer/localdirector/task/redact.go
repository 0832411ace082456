package task

import (
	"cmp"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	mask          = "<redacted>"
	minSecret     = 4
	minSecretLine = 16
)

// redactor masks the secrets of one task, as they are and as they look once
// quoted by a log handler or in JSON.
type redactor struct {
	mu       sync.RWMutex
	secrets  map[string]bool
	replacer *strings.Replacer
}

func newRedactor() *redactor {
	return &redactor{secrets: map[string]bool{}, replacer: strings.NewReplacer()}
}

func (r *redactor) add(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.secrets)
	for _, s := range secrets {
		r.addForms(s)
		lines := strings.Split(s, "\n")
		if len(lines) == 1 {
			continue
		}
		// Tools repeat single lines of keys and certificates.
		for _, line := range lines {
			if len(line) >= minSecretLine && !strings.HasPrefix(line, "-----") {
				r.addForms(line)
			}
		}
	}
	if len(r.secrets) == before {
		return
	}
	all := make([]string, 0, len(r.secrets))
	for s := range r.secrets {
		all = append(all, s)
	}
	// The longest first, so that a secret within another leaves nothing of
	// the outer one.
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	pairs := make([]string, 0, 2*len(all))
	for _, s := range all {
		pairs = append(pairs, s, mask)
	}
	r.replacer = strings.NewReplacer(pairs...)
}

func (r *redactor) addForms(s string) {
	if len(s) < minSecret {
		return
	}
	r.secrets[s] = true
	quoted := strconv.Quote(s)
	r.secrets[quoted[1:len(quoted)-1]] = true
	if text, err := encodeJSON(s); err == nil {
		r.secrets[text[1:len(text)-1]] = true
	}
}

func (r *redactor) mask(s string) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.replacer.Replace(s)
}

// maskedWriter masks what passes through it; each Write must be a whole
// record, as those of log handlers are.
type maskedWriter struct {
	redactor *redactor
	w        io.Writer
}

func (m maskedWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(m.w, m.redactor.mask(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
