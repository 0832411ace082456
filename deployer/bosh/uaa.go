package bosh

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-osb/holdfast/internal/secret"
)

// tokenSource gets tokens for a client from the UAA that the director names in
// its /info.
type tokenSource struct {
	director string
	http     *http.Client
	client   string
	secret   secret.Secret
	now      func() time.Time

	mu      sync.Mutex
	token   string
	expires time.Time
}

// authorization is the value of the Authorization header; fresh asks for a new
// token, since the director refused the last one.
func (s *tokenSource) authorization(fresh bool) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token != "" && !fresh && s.now().Before(s.expires) {
		return "bearer " + s.token, nil
	}
	endpoint, err := s.endpoint()
	if err != nil {
		return "", fmt.Errorf("find the director's UAA: %w", err)
	}
	form := url.Values{"grant_type": {"client_credentials"}, "response_type": {"token"}}
	req, err := http.NewRequest(http.MethodPost, endpoint+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", fmt.Errorf("make token request: %w", err)
	}
	req.SetBasicAuth(url.QueryEscape(s.client), url.QueryEscape(s.secret.Reveal()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		Token     string `json:"access_token"`
		ExpiresIn int    `json:"expires_in"`
	}
	if err := s.call(req, &answer); err != nil {
		return "", fmt.Errorf("get a token for client %s: %w", s.client, err)
	}
	if answer.Token == "" {
		return "", errors.New("the UAA's answer holds no access_token")
	}
	// A token that ends while a request is on its way costs a second request.
	s.token, s.expires = answer.Token, s.now().Add(time.Duration(answer.ExpiresIn)*time.Second*9/10)
	return "bearer " + s.token, nil
}

func (s *tokenSource) endpoint() (string, error) {
	req, err := http.NewRequest(http.MethodGet, s.director+"/info", nil)
	if err != nil {
		return "", fmt.Errorf("make request: %w", err)
	}
	var info struct {
		Auth struct {
			Type    string `json:"type"`
			Options struct {
				URL string `json:"url"`
			} `json:"options"`
		} `json:"user_authentication"`
	}
	if err := s.call(req, &info); err != nil {
		return "", err
	}
	if u, err := url.Parse(info.Auth.Options.URL); info.Auth.Type != "uaa" || err != nil || u.Scheme != "https" {
		return "", fmt.Errorf("the director authenticates by %q at %q, not by a UAA over https", info.Auth.Type, info.Auth.Options.URL)
	}
	return strings.TrimSuffix(info.Auth.Options.URL, "/"), nil
}

func (s *tokenSource) call(req *http.Request, into any) error {
	req.Header.Set("Accept", "application/json")
	res, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d", req.URL.Host, res.StatusCode)
	}
	return json.Unmarshal(body, into)
}
