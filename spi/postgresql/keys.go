package postgresql

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"

	"github.com/holdfast-osb/holdfast/internal/secret"
)

// instanceKey is the secret that all of an instance's passwords derive from.
type instanceKey []byte

func newInstanceKey() string {
	key := make([]byte, 32)
	rand.Read(key) // never fails, by its documentation
	return base64.StdEncoding.EncodeToString(key)
}

func readInstanceKey(s secret.Secret) (instanceKey, error) {
	key, err := base64.StdEncoding.DecodeString(s.Reveal())
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("the instance's key is missing or damaged")
	}
	return key, nil
}

func (k instanceKey) derive(purpose, id string) []byte {
	mac := hmac.New(sha256.New, k)
	fmt.Fprintf(mac, "holdfast %s\x00%s", purpose, id)
	return mac.Sum(nil)
}

// roleName is a binding's login role: "b_" and 20 hexadecimal digits.
func (k instanceKey) roleName(binding string) string {
	return "b_" + hex.EncodeToString(k.derive("role", binding)[:10])
}

// password is a binding's: 43 characters that need no escaping in a URI.
func (k instanceKey) password(binding string) string {
	return base64.RawURLEncoding.EncodeToString(k.derive("password", binding))
}

// consulToken is the secret of the deployment's token in Consul.
func (k instanceKey) consulToken(deployment string) string {
	return asUUID(k.derive("consul token", deployment))
}

// keeperToken is what the keepers of a deployment show each other.
func (k instanceKey) keeperToken(deployment string) string {
	return base64.RawURLEncoding.EncodeToString(k.derive("keeper token", deployment))
}

// scramIterations is PostgreSQL's own default.
const scramIterations = 4096

// verifier is what the server stores instead of the password (RFC 5802, RFC
// 7677; PostgreSQL's pg_authid.rolpassword). The salt derives from the binding
// as well, so that repeating a bind yields the same verifier.
func (k instanceKey) verifier(binding string) (string, error) {
	salt := k.derive("salt", binding)[:16]
	salted, err := pbkdf2.Key(sha256.New, k.password(binding), salt, scramIterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("derive SCRAM key: %w", err)
	}
	keyed := func(name string) []byte {
		mac := hmac.New(sha256.New, salted)
		mac.Write([]byte(name))
		return mac.Sum(nil)
	}
	stored := sha256.Sum256(keyed("Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", scramIterations, encode(salt), encode(stored[:]), encode(keyed("Server Key"))), nil
}
