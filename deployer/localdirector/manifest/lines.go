package manifest

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/psych"
)

// yamlLines writes a value in the style of Ruby's YAML library, line by line:
// lists are not indented below their key, strings are quoted where it quotes
// them. The stock CLI shows these lines in its diff.
func yamlLines(v any) []string {
	switch v := open(v).(type) {
	case *hash:
		if len(v.Keys) == 0 {
			return []string{"{}"}
		}
		var lines []string
		for _, k := range v.Keys {
			lines = append(lines, keyLines(k, open(v.Values[k]))...)
		}
		return lines
	case []any:
		if len(v) == 0 {
			return []string{"[]"}
		}
		var lines []string
		for _, e := range v {
			lines = append(lines, elementLines(open(e))...)
		}
		return lines
	case string:
		return stringLines(v)
	case nil:
		return []string{""}
	case psych.Float:
		return []string{yamlFloat(v)}
	default:
		return []string{inspectScalar(v)}
	}
}

func yamlFloat(f psych.Float) string {
	switch s := f.String(); s {
	case "Infinity":
		return ".inf"
	case "-Infinity":
		return "-.inf"
	case "NaN":
		return ".nan"
	default:
		return s
	}
}

func keyLines(key string, v any) []string {
	head := lineOf(key) + ":"
	lines := yamlLines(v)
	switch v := v.(type) {
	case *hash:
		if len(v.Keys) > 0 {
			return append([]string{head}, indented(lines)...)
		}
	case []any:
		if len(v) > 0 {
			return append([]string{head}, lines...)
		}
	case nil:
		return []string{head}
	}
	return append([]string{head + " " + lines[0]}, lines[1:]...)
}

// elementLines puts a list's dash before the first line and aligns the others.
// The lines of a block of text are aligned already.
func elementLines(v any) []string {
	lines := yamlLines(v)
	rest := lines[1:]
	if _, text := v.(string); !text {
		rest = indented(rest)
	}
	return append([]string{strings.TrimRight("- "+lines[0], " ")}, rest...)
}

// lineOf is a key: always one line.
func lineOf(key string) string {
	if strings.Contains(key, "\n") {
		return doubleQuoted(key)
	}
	return stringLines(key)[0]
}

func indented(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		if l != "" {
			l = "  " + l
		}
		out[i] = l
	}
	return out
}

var (
	startsOdd   = regexp.MustCompile(`(?m)^[^\p{L}\p{M}\p{N}_][^"]*$`)
	leadingZero = regexp.MustCompile(`^0[0-9]|^0\.[0-9]`) // not for all readers a string
	datePattern = regexp.MustCompile(`^(?:-?\d{4}-\d{1,2}-\d{1,2}(?:[Tt ].*)?)$`)
)

// stringLines is a string as one line or, with line breaks, as a block.
func stringLines(s string) []string {
	switch {
	case !printable(s):
		return []string{doubleQuoted(s)}
	case strings.Contains(strings.TrimSuffix(s, "\n"), "\n"):
		return blockLines(s)
	case s == "y" || s == "Y" || s == "n" || s == "N":
		return []string{doubleQuoted(s)}
	case startsOdd.MatchString(s):
		return []string{doubleQuoted(s)}
	case strings.Contains(s, "\n"):
		return blockLines(s)
	case s == "" || s == "<<" || leadingZero.MatchString(s) || datePattern.MatchString(s) || !plainAllowed(s):
		return []string{singleQuoted(s)}
	}
	return []string{s}
}

// plainAllowed tells whether a string may stand without quotes: it must read
// back as the same string.
func plainAllowed(s string) bool {
	if _, ok := psych.Scalar(s).(string); !ok {
		return false
	}
	switch {
	case strings.ContainsAny(s[:1], "#,[]{}&*!|>'\"%@`"),
		strings.HasPrefix(s, "- "), strings.HasPrefix(s, "? "), strings.HasPrefix(s, ": "),
		s == "-", s == "?", s == ":",
		strings.HasPrefix(s, "---"), strings.HasPrefix(s, "..."),
		strings.Contains(s, ": "), strings.HasSuffix(s, ":"), strings.Contains(s, " #"),
		strings.TrimSpace(s) != s:
		return false
	}
	return true
}

func printable(s string) bool {
	for _, r := range s {
		if r != '\n' && !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// blockLines writes a literal block. The first line goes behind the key.
func blockLines(s string) []string {
	head := "|"
	switch {
	case !strings.HasSuffix(s, "\n"):
		head = "|-"
	case strings.HasSuffix(s, "\n\n") || s == "\n":
		head = "|+"
	}
	if s[0] == ' ' || s[0] == '\n' {
		head = "|2" + head[1:]
	}
	return append([]string{head}, indented(strings.Split(strings.TrimSuffix(s, "\n"), "\n"))...)
}

func singleQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func doubleQuoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == 0x1b:
			b.WriteString(`\e`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r <= 0xff:
			b.WriteString(`\x` + hexDigits(r, 2))
		case r <= 0xffff:
			b.WriteString(`\u` + hexDigits(r, 4))
		default:
			b.WriteString(`\U` + hexDigits(r, 8))
		}
	}
	b.WriteByte('"')
	return b.String()
}

func hexDigits(r rune, n int) string {
	const digits = "0123456789ABCDEF"
	out := make([]byte, n)
	for i := n - 1; i >= 0; i-- {
		out[i] = digits[r&0xf]
		r >>= 4
	}
	return string(out)
}

func joinLines(lines []string) []byte { return []byte(strings.Join(lines, "\n") + "\n") }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
