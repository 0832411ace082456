package broker

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/holdfast-osb/holdfast/internal/fault"
)

// parseObject reads a JSON object; absent and null are nil.
func parseObject(field string, raw json.RawMessage) (map[string]any, error) {
	if len(raw) == 0 || bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return nil, fault.InvalidField(field, "must be a JSON object")
	}
	return object, nil
}

// sameParameters compares two JSON objects; absent, null and {} are the same.
func sameParameters(a, b json.RawMessage) bool {
	left, errLeft := parseObject("", a)
	right, errRight := parseObject("", b)
	if errLeft != nil || errRight != nil {
		return bytes.Equal(a, b)
	}
	return (len(left) == 0 && len(right) == 0) || reflect.DeepEqual(left, right)
}

// overlay lays the parameters of an update over the instance's: what the
// request does not name stays as it is.
func overlay(earlier, given json.RawMessage) (json.RawMessage, error) {
	base, err := parseObject("parameters", earlier)
	if err != nil {
		return nil, err
	}
	changes, err := parseObject("parameters", given)
	if err != nil {
		return nil, err
	}
	if len(changes) == 0 {
		return earlier, nil
	}
	if base == nil {
		base = map[string]any{}
	}
	for name, value := range changes {
		base[name] = value
	}
	return json.Marshal(base)
}

// object is raw if it is an object with members, else nil.
func object(raw json.RawMessage) json.RawMessage {
	parsed, err := parseObject("", raw)
	if err != nil || len(parsed) == 0 {
		return nil
	}
	return raw
}
