package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-osb/holdfast/internal/osbclient"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

// client is what the commands on service instances share: which broker, and
// how to print.
type client struct {
	url, username, state string
	json                 bool

	broker *osbclient.Broker
	book   osbclient.Book
	out    *printer
	// Where DNS answers for the names of a stack on this machine; empty for
	// another broker.
	resolver, domain string
}

// The environment names any OSB broker; without it the stack on this machine
// is used. The password has no flag: flags show in process lists.
const (
	envBrokerURL      = "HOLDFAST_BROKER_URL"
	envBrokerUsername = "HOLDFAST_BROKER_USERNAME"
	envBrokerPassword = "HOLDFAST_BROKER_PASSWORD"
)

// addClientCommands adds the commands that work against any OSB broker.
func addClientCommands(root *cobra.Command) {
	for _, build := range []func(*client) *cobra.Command{
		newServicesCommand, newCreateCommand, newListCommand, newUpdateCommand, newDeleteCommand, newBindCommand, newUnbindCommand,
	} {
		c := &client{}
		cmd := build(c)
		cmd.GroupID = groupClient
		cmd.Args = withUsage(cmd.Args)
		cmd.Flags().StringVar(&c.url, "broker", os.Getenv(envBrokerURL), "the broker's URL (default: $"+envBrokerURL+", or the stack on this machine); its password comes from $"+envBrokerPassword)
		cmd.Flags().StringVar(&c.username, "username", os.Getenv(envBrokerUsername), "the broker's user (default: $"+envBrokerUsername+")")
		cmd.Flags().StringVar(&c.state, "state", defaultState(), "the local stack's folder")
		cmd.Flags().BoolVar(&c.json, "json", false, "print JSON")
		cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return c.open(cmd) }
		root.AddCommand(cmd)
	}
}

// access is how a client reaches a broker: the file that `holdfast up` leaves.
type access struct {
	URL      string `json:"url"`
	Username string `json:"username"`
	Password string `json:"password"`
	// Where the local stack answers DNS for its instances' names.
	Resolver string `json:"resolver"`
	Domain   string `json:"domain"`
}

func (c *client) open(cmd *cobra.Command) error {
	c.out = newPrinter(cmd.OutOrStdout(), c.json)
	a := access{URL: c.url, Username: c.username, Password: os.Getenv(envBrokerPassword)}
	bookPath := filepath.Join(c.state, "client-names.json")
	if a.URL == "" {
		content, err := os.ReadFile(accessFile(c.state))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("no stack runs here (nothing in %s): start one with `holdfast up`, or name a broker with --broker or $%s", c.state, envBrokerURL)
		}
		if err != nil {
			return fmt.Errorf("read how to reach the broker: %w", err)
		}
		if err := json.Unmarshal(content, &a); err != nil {
			return fmt.Errorf("%s is damaged: %w", accessFile(c.state), err)
		}
	} else {
		if a.Username == "" || a.Password == "" {
			return fmt.Errorf("the broker %s needs a user and a password: set $%s and $%s", a.URL, envBrokerUsername, envBrokerPassword)
		}
		home, err := os.UserConfigDir()
		if err != nil {
			return fmt.Errorf("find the folder for instance names: %w", err)
		}
		bookPath = filepath.Join(home, "holdfast", "names.json")
	}
	c.broker = &osbclient.Broker{URL: strings.TrimSuffix(a.URL, "/"), Username: a.Username, Password: secret.New(a.Password)}
	c.book = osbclient.Book{Path: bookPath}
	c.resolver, c.domain = a.Resolver, a.Domain
	return nil
}

// entry finds a named instance.
func (c *client) entry(ctx context.Context, name string) (osbclient.Entry, error) {
	names, err := c.book.Read()
	if err != nil {
		return osbclient.Entry{}, err
	}
	entry, ok := names[c.broker.URL][name]
	if !ok {
		return osbclient.Entry{}, fmt.Errorf("no instance is called %q here: `holdfast list` shows what there is", name)
	}
	if entry.MovesTo == nil {
		return entry, nil
	}
	// An update that nobody waited for may have ended since.
	last, err := c.broker.LastOperation(ctx, entry.ID, entry.ServiceID, entry.PlanID, entry.Operation)
	if err != nil {
		return osbclient.Entry{}, fmt.Errorf("find out how the update of %s ended: %w", name, err)
	}
	if last.State == "succeeded" || last.State == "failed" {
		entry = entry.Moved(last.State == "succeeded")
		return entry, c.remember(entry)
	}
	return entry, nil
}

func (c *client) remember(entry osbclient.Entry) error {
	return c.book.Change(func(names osbclient.Names) error {
		names.Put(c.broker.URL, entry)
		return nil
	})
}

// findPlan looks a service and a plan up by name.
func (c *client) findPlan(cmd *cobra.Command, service, plan string) (osbclient.Service, osbclient.Plan, error) {
	services, err := c.broker.Catalog(cmd.Context())
	if err != nil {
		return osbclient.Service{}, osbclient.Plan{}, err
	}
	i := slices.IndexFunc(services, func(s osbclient.Service) bool { return s.Name == service })
	if i < 0 {
		return osbclient.Service{}, osbclient.Plan{}, fmt.Errorf("the broker has no service %q: `holdfast services` lists them", service)
	}
	p := slices.IndexFunc(services[i].Plans, func(p osbclient.Plan) bool { return p.Name == plan })
	if p < 0 {
		return osbclient.Service{}, osbclient.Plan{}, fmt.Errorf("service %s has no plan %q: `holdfast services` lists them", service, plan)
	}
	return services[i], services[i].Plans[p], nil
}

// parameters reads the -c flag: a JSON object, or @FILE with one.
func parameters(flag string) (json.RawMessage, error) {
	if flag == "" {
		return nil, nil
	}
	content := []byte(flag)
	if name, isFile := strings.CutPrefix(flag, "@"); isFile {
		var err error
		if content, err = os.ReadFile(name); err != nil {
			return nil, fmt.Errorf("-c: %w", err)
		}
	}
	object := map[string]any{}
	var wrongType *json.UnmarshalTypeError
	err := json.Unmarshal(content, &object)
	switch {
	case errors.As(err, &wrongType) || err == nil && object == nil:
		return nil, errors.New(`-c: must be a JSON object such as {"name": "value"}`)
	case err != nil:
		return nil, fmt.Errorf("-c: not JSON: %w", err)
	}
	return content, nil
}
