package variables

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"

	"github.com/cloudfoundry/config-server/types"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
)

// maxPasswordLength is far more than any password needs.
const maxPasswordLength = 4096

// Ensure generates, in their order, the variables that have no value yet or
// whose update mode wants another one, and returns the value of each. Repeated
// calls change nothing, except for variables of update_mode overwrite.
// Options may hold placeholders of earlier variables.
func Ensure(ctx context.Context, store Store, scope Scope, vars []manifest.Variable) ([]Stored, error) {
	e := ensurer{ctx: ctx, store: store, scope: scope, renewed: map[string]bool{}}
	out := make([]Stored, 0, len(vars))
	for _, v := range vars {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, err := e.ensure(v)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

type ensurer struct {
	ctx     context.Context
	store   Store
	scope   Scope
	renewed map[string]bool // names that got a new value in this run
}

func (e ensurer) ensure(v manifest.Variable) (Stored, error) {
	if err := checkDefinitionName(v.Name); err != nil {
		return Stored{}, err
	}
	name := e.scope.Absolute(v.Name)
	options, err := e.options(v)
	if err != nil {
		return Stored{}, err
	}
	canonical, err := json.Marshal(options)
	if err != nil {
		return Stored{}, e.failed(v, name, err)
	}
	have, found, err := e.store.GetVariable(e.ctx, name)
	if err != nil {
		return Stored{}, fmt.Errorf("look up variable %s: %w", name, err)
	}
	if found && have.Type != v.Type && v.UpdateMode == "no-overwrite" {
		return Stored{}, e.failed(v, name, typeChanged)
	}
	if found && !e.stale(v, have, canonical, options) {
		return have, nil
	}
	value, err := e.generate(v.Type, options)
	if err != nil {
		return Stored{}, e.failed(v, name, err)
	}
	e.renewed[name] = true
	s, err := e.store.PutVariable(e.ctx, Stored{Name: name, Type: v.Type, Options: canonical, Value: value})
	if err != nil {
		return Stored{}, fmt.Errorf("keep variable %s: %w", name, err)
	}
	return s, nil
}

// typeChanged is what a credential store answers; only converge and overwrite
// may make something else of a name.
const typeChanged sentence = "The credential type cannot be modified. Please delete the credential if you wish to create it with a different type."

// sentence is an error whose text is shown to users as it is.
type sentence string

func (s sentence) Error() string { return string(s) }

// stale tells whether the update mode asks for a new value: a certificate of
// a CA that was renewed just now is stale, too.
func (e ensurer) stale(v manifest.Variable, have Stored, canonical []byte, options map[string]any) bool {
	switch v.UpdateMode {
	case "overwrite":
		return true
	case "converge":
		ca, _ := options["ca"].(string)
		return have.Type != v.Type || !bytes.Equal(have.Options, canonical) || e.renewed[ca]
	}
	return false
}

// options are the generator's, with placeholders replaced and an absolute name
// of the CA.
func (e ensurer) options(v manifest.Variable) (map[string]any, error) {
	out := map[string]any{}
	if len(v.Options) == 0 {
		return out, nil
	}
	resolved, err := Interpolate(e.ctx, e.store, e.scope, manifest.DocumentOf(v.Options))
	if err != nil {
		return nil, err
	}
	maps.Copy(out, resolved.Document.Tree())
	if ca, ok := out["ca"].(string); ok && v.Type == "certificate" && ca != "" {
		out["ca"] = e.scope.Absolute(ca)
	}
	return out, nil
}

func (e ensurer) generate(kind string, options map[string]any) ([]byte, error) {
	if n, ok := options["length"].(int); ok && n > maxPasswordLength {
		return nil, fmt.Errorf("'length' param cannot be greater than %d", maxPasswordLength)
	}
	generator, err := types.NewValueGeneratorConcrete(authorities{e.ctx, e.store}).GetGenerator(kind)
	if err != nil {
		return nil, err
	}
	value, err := generator.Generate(options)
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

func (e ensurer) failed(v manifest.Variable, name string, cause error) error {
	return fault(manifest.CodeVariableGenerationFailed,
		fmt.Sprintf("Config Server failed to generate value for '%s' with type '%s'. Error: '%s'", name, v.Type, cause))
}

// authorities loads certificate authorities from the store, by absolute name.
type authorities struct {
	ctx   context.Context
	store Store
}

// LoadCerts is what the certificate generator calls for its `ca`.
func (a authorities) LoadCerts(name string) (*x509.Certificate, *rsa.PrivateKey, error) {
	s, found, err := a.store.GetVariable(a.ctx, name)
	if err != nil {
		return nil, nil, err
	}
	if !found {
		return nil, nil, fmt.Errorf("CA '%s' has no value; define it before the certificates it signs", name)
	}
	var value types.CertResponse
	if err := json.Unmarshal(s.Value, &value); err != nil {
		return nil, nil, fmt.Errorf("CA '%s' is no certificate", name)
	}
	certificate, key := decodePEM(value.Certificate), decodePEM(value.PrivateKey)
	if certificate == nil || key == nil {
		return nil, nil, fmt.Errorf("CA '%s' is no certificate", name)
	}
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, nil, fmt.Errorf("CA '%s': %w", name, err)
	}
	if !parsed.IsCA {
		return nil, nil, fmt.Errorf("'%s' is not a certificate authority; set its option is_ca", name)
	}
	private, err := x509.ParsePKCS1PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("CA '%s' has no RSA key", name) // the cause could quote the key
	}
	return parsed, private, nil
}

func decodePEM(text string) []byte {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil
	}
	return block.Bytes
}
