package spi

import (
	"encoding/json"

	"github.com/holdfast-osb/holdfast/internal/secret"
)

// instanceBody is an Instance on the wire, with its secrets in plain.
type instanceBody struct {
	Instance
	Secrets map[string]string `json:"secrets,omitempty"`
}

func newInstanceBody(in Instance) instanceBody {
	return instanceBody{Instance: in, Secrets: in.Secrets.Reveal()}
}

func (b instanceBody) instance() Instance {
	in := b.Instance
	in.Secrets = secret.FromPlain(b.Secrets)
	return in
}

// prepareBody is a PrepareRequest on the wire.
type prepareBody struct {
	Instance instanceBody `json:"instance"`
	Previous *Previous    `json:"previous,omitempty"`
}

// preparationAnswer is a Preparation on the wire.
type preparationAnswer struct {
	Template         string            `json:"template"`
	Attributes       map[string]any    `json:"attributes,omitempty"`
	SecretAttributes map[string]string `json:"secret_attributes,omitempty"`
	Secrets          map[string]string `json:"secrets,omitempty"`
}

// instanceRequest is the body of a call about an instance.
type instanceRequest struct {
	Instance instanceBody `json:"instance"`
}

// bindBody is a BindRequest on the wire; the binding's id is in the path.
type bindBody struct {
	Instance   instanceBody    `json:"instance"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
	AppGUID    string          `json:"app_guid,omitempty"`
}

func newBindBody(in BindRequest) bindBody {
	return bindBody{Instance: newInstanceBody(in.Instance), Parameters: in.Parameters, AppGUID: in.AppGUID}
}

type credentialsAnswer struct {
	Credentials Credentials `json:"credentials"`
}

// done is the answer of a call that returns nothing.
type done struct{}
