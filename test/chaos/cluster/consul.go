package cluster

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
)

// consulPort is where Consul's servers answer HTTPS.
const consulPort = "8501"

// ConsulLeader is the server that leads now. Consul tells it without a token.
func (c *Cluster) ConsulLeader(ctx context.Context) (Node, error) {
	web := consulDoor()
	var faults []error
	for _, server := range c.Consul {
		leader, err := askLeader(ctx, web, server.Address)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if i := slices.IndexFunc(c.Consul, func(n Node) bool { return n.Address == leader }); i >= 0 {
			return c.Consul[i], nil
		}
		faults = append(faults, fmt.Errorf("%s says that %q leads", server.Name, leader))
	}
	return Node{}, errors.Join(append(faults, errors.New("no leader of Consul is known"))...)
}

// ConsulWhole checks that all of Consul's servers follow one leader.
func (c *Cluster) ConsulWhole(ctx context.Context) error {
	web := consulDoor()
	leader := ""
	for _, server := range c.Consul {
		its, err := askLeader(ctx, web, server.Address)
		if err != nil {
			return err
		}
		if its == "" || leader != "" && its != leader {
			return fmt.Errorf("%s follows %q, another server %q", server.Name, its, leader)
		}
		leader = its
	}
	return nil
}

// consulDoor is a client of the servers. Nothing secret is asked or sent:
// whoever answers there is believed.
func consulDoor() *http.Client {
	return &http.Client{Timeout: questionLimit, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

func askLeader(ctx context.Context, web *http.Client, address string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+net.JoinHostPort(address, consulPort)+"/v1/status/leader", nil)
	if err != nil {
		return "", err
	}
	res, err := web.Do(req)
	if err != nil {
		return "", fmt.Errorf("ask for Consul's leader: %w", err)
	}
	defer res.Body.Close()
	var leader string
	if err := json.NewDecoder(res.Body).Decode(&leader); err != nil {
		return "", fmt.Errorf("ask for Consul's leader: %w", err)
	}
	if leader == "" {
		return "", nil // there is none
	}
	host, _, err := net.SplitHostPort(leader)
	return host, err
}
