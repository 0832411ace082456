package gate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/pivotal-cf/brokerapi/v10/domain"
)

// MaxBody bounds a request's body, bytes. It leaves room for what the SPI and
// the deployer are sent in turn.
const MaxBody = 256 << 10

// maxDrain is how much of a refused body is read so that the client reads the
// answer instead of a reset connection.
const maxDrain = 16 << 20

// readBody checks the body and puts it back for the next handler.
func readBody(r *http.Request, req *Request) *Refusal {
	var into any
	switch req.Verb {
	case "provision":
		into = &domain.ProvisionDetails{}
	case "update":
		into = &domain.UpdateDetails{}
	case "bind":
		into = &domain.BindDetails{}
	default:
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	if err != nil {
		return &Refusal{Status: http.StatusBadRequest, Description: "the body could not be read"}
	}
	if len(body) > MaxBody {
		// Whether the rest arrives makes no difference to the answer.
		_, _ = io.CopyN(io.Discard, r.Body, maxDrain)
		return &Refusal{Status: http.StatusRequestEntityTooLarge, Description: fmt.Sprintf("body: must be at most %d bytes", MaxBody)}
	}
	if refusal := decode(body, into); refusal != nil {
		return refusal
	}
	switch details := into.(type) {
	case *domain.ProvisionDetails:
		req.ServiceID, req.PlanID = details.ServiceID, details.PlanID
	case *domain.UpdateDetails:
		req.ServiceID, req.PlanID = details.ServiceID, details.PlanID
	case *domain.BindDetails:
		req.ServiceID, req.PlanID = details.ServiceID, details.PlanID
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	// brokerapi asks for form values: with a form's content type that would
	// swallow the body.
	r.Header.Set("Content-Type", "application/json")
	return nil
}

// decode accepts exactly one JSON object with members of the right types.
func decode(body []byte, into any) *Refusal {
	if trimmed := bytes.TrimSpace(body); len(trimmed) == 0 || (json.Valid(trimmed) && trimmed[0] != '{') {
		return invalid("body", "must be a JSON object")
	}
	err := json.Unmarshal(body, into)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return invalid(wrong.Field, fmt.Sprintf("must not be a JSON %s", wrong.Value))
	}
	if err != nil {
		return invalid("body", "is not well-formed JSON: "+err.Error())
	}
	var members struct {
		Context    json.RawMessage `json:"context"`
		Parameters json.RawMessage `json:"parameters"`
	}
	if err := json.Unmarshal(body, &members); err != nil {
		return invalid("body", "is not well-formed JSON: "+err.Error())
	}
	for field, raw := range map[string]json.RawMessage{"context": members.Context, "parameters": members.Parameters} {
		if len(raw) > 0 && raw[0] != '{' && string(raw) != "null" {
			return invalid(field, "must be a JSON object")
		}
	}
	return nil
}
