package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-osb/holdfast/internal/osbclient"
	"github.com/holdfast-osb/holdfast/internal/resolver"
)

func newBindCommand(c *client) *cobra.Command {
	var params string
	cmd := &cobra.Command{
		Use: "bind NAME [BINDING]", Short: "Create credentials for an instance and print them", Args: cobra.RangeArgs(1, 2),
		Long: "Create credentials for an instance and print them. Repeating the command with the same\nbinding name (default: \"default\") prints the same credentials again.",
	}
	cmd.Flags().StringVarP(&params, "parameters", "c", "", "parameters, as a JSON object or @FILE")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		entry, err := c.entry(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		body, err := parameters(params)
		if err != nil {
			return err
		}
		name := bindingName(args)
		id, err := c.bindingID(entry, name)
		if err != nil {
			return err
		}
		credentials, err := c.broker.Bind(cmd.Context(), entry.ID, id, osbclient.BindRequest{ServiceID: entry.ServiceID, PlanID: entry.PlanID, Parameters: body})
		if refused(err) && entry.Bindings[name] == "" {
			return errors.Join(err, c.forgetBinding(entry.Name, name))
		}
		if err != nil {
			return err
		}
		if c.json {
			return c.out.object(credentials)
		}
		rows := [][]string{}
		for _, key := range slices.Sorted(maps.Keys(credentials)) {
			rows = append(rows, []string{key, oneLine(credentials[key])})
		}
		if err := c.out.table([]string{"CREDENTIAL", "VALUE"}, rows); err != nil {
			return err
		}
		c.tellAddress(cmd.Context(), credentials["host"])
		return nil
	}
	return cmd
}

// tellAddress says where a name of the local stack leads now: this machine's own
// resolver does not know it.
func (c *client) tellAddress(ctx context.Context, host any) {
	name, ok := host.(string)
	if !ok || c.resolver == "" || !strings.HasSuffix(name, "."+c.domain) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	where := "no address just now"
	if addresses, err := resolver.Lookup(c.resolver, c.domain)(ctx, name); err == nil {
		where = strings.Join(addresses, ", ")
	}
	c.out.line("\nThe host is %s now. This machine's own resolver does not know it: DNS on %s does (with libpq add hostaddr=ADDRESS).", where, c.resolver)
}

// lookupLimit bounds the question where a name leads.
const lookupLimit = 3 * time.Second

func newUnbindCommand(c *client) *cobra.Command {
	return &cobra.Command{
		Use: "unbind NAME [BINDING]", Short: "Remove credentials and end their sessions", Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			entry, err := c.entry(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			name := bindingName(args)
			id, ok := entry.Bindings[name]
			if !ok {
				return fmt.Errorf("%s has no binding %q", entry.Name, name)
			}
			if err := c.broker.Unbind(cmd.Context(), entry.ID, id, entry.ServiceID, entry.PlanID); err != nil {
				return err
			}
			if err := c.forgetBinding(entry.Name, name); err != nil {
				return err
			}
			if c.json {
				return c.out.object(map[string]any{"name": entry.Name, "binding": name, "state": "removed"})
			}
			c.out.line("OK  binding %s of %s is removed", name, entry.Name)
			return nil
		},
	}
}

func bindingName(args []string) string {
	if len(args) > 1 {
		return args[1]
	}
	return "default"
}

// bindingID returns the id of a named binding, remembering a new one before it
// is asked for.
func (c *client) bindingID(entry osbclient.Entry, name string) (string, error) {
	if id := entry.Bindings[name]; id != "" {
		return id, nil
	}
	id := osbclient.NewID()
	err := c.book.Change(func(names osbclient.Names) error {
		current, ok := names[c.broker.URL][entry.Name]
		if !ok {
			return fmt.Errorf("the instance %q is gone", entry.Name)
		}
		current.Bindings = maps.Clone(current.Bindings)
		if current.Bindings == nil {
			current.Bindings = map[string]string{}
		}
		current.Bindings[name] = id
		names.Put(c.broker.URL, current)
		return nil
	})
	return id, err
}

func (c *client) forgetBinding(instance, name string) error {
	return c.book.Change(func(names osbclient.Names) error {
		delete(names[c.broker.URL][instance].Bindings, name)
		return nil
	})
}

// oneLine shows a credential's value; text of several lines (certificates) and
// lists as JSON.
func oneLine(value any) string {
	if text, ok := value.(string); ok {
		for _, r := range text {
			if r == '\n' {
				return fmt.Sprintf("(%d bytes; --json shows it)", len(text))
			}
		}
		return text
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(encoded)
}
