package store

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/holdfast-osb/holdfast/internal/secret"
)

// The plain forms of the private parts, as they are before sealing. Secrets
// are revealed here and nowhere else in a store.

type plainPrepared struct {
	Template         string            `json:"template,omitempty"`
	Attributes       map[string]any    `json:"attributes,omitempty"`
	SecretAttributes map[string]string `json:"secret_attributes,omitempty"`
	Secrets          map[string]string `json:"secrets,omitempty"`
}

type plainInstance struct {
	Parameters json.RawMessage `json:"parameters,omitempty"`
	Context    json.RawMessage `json:"context,omitempty"`
	Prepared   plainPrepared   `json:"prepared"`
}

type plainOperation struct {
	Given      json.RawMessage `json:"given,omitempty"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
	Context    json.RawMessage `json:"context,omitempty"`
	Prepared   *plainPrepared  `json:"prepared,omitempty"`
}

type plainBinding struct {
	Parameters json.RawMessage `json:"parameters,omitempty"`
	Context    json.RawMessage `json:"context,omitempty"`
}

func reveal(p Prepared) plainPrepared {
	return plainPrepared{p.Template, p.Attributes, p.SecretAttributes.Reveal(), p.Secrets.Reveal()}
}

func conceal(p plainPrepared) Prepared {
	for name, value := range p.Attributes {
		p.Attributes[name] = plainNumbers(value)
	}
	return Prepared{p.Template, p.Attributes, secret.FromPlain(p.SecretAttributes), secret.FromPlain(p.Secrets)}
}

// SealInstance makes the sealed column of an instance.
func (k *Keyring) SealInstance(id string, p InstancePrivate) ([]byte, error) {
	return k.sealJSON("instances/"+id, plainInstance{p.Parameters, p.Context, reveal(p.Prepared)})
}

// OpenInstance reads the sealed column of an instance.
func (k *Keyring) OpenInstance(id string, sealed []byte) (InstancePrivate, error) {
	var plain plainInstance
	if err := k.openJSON("instances/"+id, sealed, &plain); err != nil {
		return InstancePrivate{}, err
	}
	return InstancePrivate{plain.Parameters, plain.Context, conceal(plain.Prepared)}, nil
}

// SealOperation makes the sealed column of an operation.
func (k *Keyring) SealOperation(id string, p OperationPrivate) ([]byte, error) {
	plain := plainOperation{Given: p.Given, Parameters: p.Parameters, Context: p.Context}
	if p.Prepared != nil {
		prepared := reveal(*p.Prepared)
		plain.Prepared = &prepared
	}
	return k.sealJSON("operations/"+id, plain)
}

// OpenOperation reads the sealed column of an operation.
func (k *Keyring) OpenOperation(id string, sealed []byte) (OperationPrivate, error) {
	var plain plainOperation
	if err := k.openJSON("operations/"+id, sealed, &plain); err != nil {
		return OperationPrivate{}, err
	}
	p := OperationPrivate{Given: plain.Given, Parameters: plain.Parameters, Context: plain.Context}
	if plain.Prepared != nil {
		prepared := conceal(*plain.Prepared)
		p.Prepared = &prepared
	}
	return p, nil
}

// SealBinding makes the sealed column of a binding.
func (k *Keyring) SealBinding(instanceID, id string, p BindingPrivate) ([]byte, error) {
	return k.sealJSON("bindings/"+instanceID+"/"+id, plainBinding(p))
}

// OpenBinding reads the sealed column of a binding.
func (k *Keyring) OpenBinding(instanceID, id string, sealed []byte) (BindingPrivate, error) {
	var plain plainBinding
	err := k.openJSON("bindings/"+instanceID+"/"+id, sealed, &plain)
	return BindingPrivate(plain), err
}

func (k *Keyring) sealJSON(row string, plain any) ([]byte, error) {
	encoded, err := json.Marshal(plain)
	if err != nil {
		return nil, fmt.Errorf("encode the private part of %s: %w", row, err)
	}
	return k.Seal(row, encoded), nil
}

func (k *Keyring) openJSON(row string, sealed []byte, into any) error {
	encoded, err := k.Open(row, sealed)
	if err != nil {
		return err
	}
	// Numbers stay as they are written, so that a large integer survives.
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("decode the private part of %s: %w", row, err)
	}
	return nil
}

// plainNumbers turns every json.Number into an int64 or a float64.
func plainNumbers(value any) any {
	switch v := value.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, err := v.Float64()
		if err != nil {
			return v.String() // out of range: keep what was written
		}
		return f
	case map[string]any:
		for name, inner := range v {
			v[name] = plainNumbers(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = plainNumbers(inner)
		}
	}
	return value
}
