package manifest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/psych"
)

const redacted = "<redacted>"

// hiddenKeys hold what users configure and what may be secret. Faults quote
// the objects around them, never their values.
var hiddenKeys = map[string]bool{"properties": true, "env": true, "options": true, "cloud_properties": true}

// maxInspected bounds what a fault quotes of an object: manifests can be long.
const maxInspected = 4096

// inspect writes a value as Ruby's inspect does, which is how the director's
// faults quote the object that is wrong.
func inspect(v any) string {
	var b strings.Builder
	inspectTo(&b, v, false)
	text := b.String()
	if len(text) > maxInspected {
		text = strings.ToValidUTF8(text[:maxInspected], "") + "..."
	}
	return text
}

func inspectTo(b *strings.Builder, v any, hide bool) {
	if b.Len() > maxInspected {
		return
	}
	if _, ok := v.(interpolated); ok {
		b.WriteString(rubyQuote(redacted))
		return
	}
	switch v := v.(type) {
	case *hash:
		if v == nil {
			b.WriteString("nil")
			return
		}
		b.WriteByte('{')
		for i, k := range v.Keys {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(rubyQuote(k))
			b.WriteString("=>")
			inspectTo(b, v.Values[k], hide || hiddenKeys[k])
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			inspectTo(b, e, hide)
		}
		b.WriteByte(']')
	default:
		if hide && v != nil {
			b.WriteString(rubyQuote(redacted))
			return
		}
		b.WriteString(inspectScalar(v))
	}
}

func inspectScalar(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case string:
		return rubyQuote(v)
	case int:
		return strconv.Itoa(v)
	case bool:
		return strconv.FormatBool(v)
	case psych.Float:
		return v.String()
	default:
		return fmt.Sprintf("%v", v)
	}
}

func rubyQuote(s string) string {
	return strings.ReplaceAll(strconv.Quote(s), `#{`, `\#{`)
}

// rubyClass is the name of a value's class, for faults that name it.
func rubyClass(v any) string {
	switch v := open(v).(type) {
	case nil:
		return "NilClass"
	case *hash:
		return "Hash"
	case []any:
		return "Array"
	case string:
		return "String"
	case int:
		return "Integer"
	case psych.Float:
		return "Float"
	case bool:
		if v {
			return "TrueClass"
		}
		return "FalseClass"
	}
	return "Object"
}
