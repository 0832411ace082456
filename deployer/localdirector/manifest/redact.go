package manifest

import (
	"net/url"
	"strings"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/psych"
)

// redactHash hides values below `properties` and `bosh` (of env), and the
// credentials in the URLs of releases.
func redactHash(h *hash) *hash {
	out := redactIn(h, false).(*hash)
	releases, _ := get(out, "releases")
	list, ok := releases.([]any)
	if !ok {
		return out
	}
	shown := make([]any, len(list))
	for i, e := range list {
		shown[i] = redactURL(e)
	}
	out.Set("releases", shown)
	return out
}

func redactIn(v any, hide bool) any {
	switch v := open(v).(type) {
	case *hash:
		out := psych.NewHash(len(v.Keys))
		for _, k := range v.Keys {
			_, below := open(v.Values[k]).(*hash)
			out.Set(k, redactIn(v.Values[k], hide || below && (k == "properties" || k == "bosh")))
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
	text, _ := get(h, "url")
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
	out := psych.NewHash(len(h.Keys))
	for _, k := range h.Keys {
		out.Set(k, h.Values[k])
	}
	out.Set("url", u.Scheme+"://"+hidden+"@"+rest)
	return out
}
