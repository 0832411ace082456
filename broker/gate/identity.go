package gate

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
)

const (
	requestIdentityHeader     = "X-Broker-API-Request-Identity"
	originatingIdentityHeader = "X-Broker-API-Originating-Identity"
	versionHeader             = "X-Broker-API-Version"
)

// requestIdentity is what of the platform's request id goes into answers and
// logs: printable and short, or nothing.
var requestIdentity = regexp.MustCompile(`^[\x21-\x7e]{1,128}$`)

var platformName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// originator tells for the log who asked, from the platform's header: its name
// and the user's id or name.
func originator(r *http.Request) (string, *Refusal) {
	header := r.Header.Get(originatingIdentityHeader)
	if header == "" {
		return "", nil
	}
	platform, encoded, found := strings.Cut(header, " ")
	if !found || !platformName.MatchString(platform) {
		return "", invalid(originatingIdentityHeader, "must be a platform's name, a space and a base64 value")
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	var value map[string]any
	if err != nil || json.Unmarshal(raw, &value) != nil {
		return "", invalid(originatingIdentityHeader, "must hold a JSON object in base64")
	}
	for _, key := range []string{"user_id", "uid", "username"} {
		if user, ok := value[key].(string); ok && requestIdentity.MatchString(user) {
			return platform + ":" + user, nil
		}
	}
	return platform, nil
}

var version = regexp.MustCompile(`^2\.\d{1,4}$`)

func checkVersion(r *http.Request) *Refusal {
	given := r.Header.Get(versionHeader)
	if version.MatchString(given) {
		return nil
	}
	text := "must be 2.x"
	if given == "" {
		text = "must be given"
	}
	return &Refusal{Status: http.StatusPreconditionFailed, Description: versionHeader + ": " + text + "; this broker speaks version 2.17 of the API"}
}
