package manifest

import (
	"net/url"
	"strings"
)

// redactHash hides values below `properties` and `bosh` (of env), and the
// credentials in the URLs of releases.
func redactHash(h *hash) *hash {
	out := redactIn(h, false).(*hash)
	releases, _ := out.get("releases")
	list, ok := releases.([]any)
	if !ok {
		return out
	}
	shown := make([]any, len(list))
	for i, e := range list {
		shown[i] = redactURL(e)
	}
	out.set("releases", shown)
	return out
}

func redactIn(v any, hide bool) any {
	switch v := open(v).(type) {
	case *hash:
		out := newHash(len(v.keys))
		for _, k := range v.keys {
			_, below := open(v.values[k]).(*hash)
			out.set(k, redactIn(v.values[k], hide || below && (k == "properties" || k == "bosh")))
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = redactIn(e, hide)
		}
		return out
	default:
		if hide {
			return redacted
		}
		return v
	}
}

func redactURL(v any) any {
	h, ok := open(v).(*hash)
	if !ok {
		return v
	}
	text, _ := h.get("url")
	s, ok := text.(string)
	if !ok {
		return v
	}
	u, err := url.Parse(s)
	if err != nil || u.User == nil {
		return v
	}
	_, rest, _ := strings.Cut(s, "@")
	hidden := redacted
	if _, has := u.User.Password(); has {
		hidden += ":" + redacted
	}
	out := newHash(len(h.keys))
	for _, k := range h.keys {
		out.set(k, h.values[k])
	}
	out.set("url", u.Scheme+"://"+hidden+"@"+rest)
	return out
}
