package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-osb/holdfast/internal/osbclient"
)

func newServicesCommand(c *client) *cobra.Command {
	return &cobra.Command{
		Use: "services", Short: "List the services and plans on offer", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			services, err := c.broker.Catalog(cmd.Context())
			if err != nil {
				return err
			}
			if c.json {
				return c.out.object(services)
			}
			rows := [][]string{}
			for _, s := range services {
				for _, p := range s.Plans {
					rows = append(rows, []string{s.Name, p.Name, p.Description})
				}
			}
			return c.out.table([]string{"SERVICE", "PLAN", "DESCRIPTION"}, rows)
		},
	}
}

func newCreateCommand(c *client) *cobra.Command {
	var params, org, space string
	cmd := &cobra.Command{
		Use: "create SERVICE PLAN NAME", Short: "Create a service instance and wait until it is ready", Args: cobra.ExactArgs(3),
		Example: "  holdfast create postgresql single-small mydb",
	}
	cmd.Flags().StringVarP(&params, "parameters", "c", "", "parameters, as a JSON object or @FILE")
	cmd.Flags().StringVar(&org, "org", "00000000-0000-4000-8000-000000000001", "the organization's GUID")
	cmd.Flags().StringVar(&space, "space", "00000000-0000-4000-8000-000000000002", "the space's GUID")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		service, plan, err := c.findPlan(cmd, args[0], args[1])
		if err != nil {
			return err
		}
		body, err := parameters(params)
		if err != nil {
			return err
		}
		entry := osbclient.Entry{Name: args[2], ID: osbclient.NewID(), ServiceID: service.ID, Service: service.Name, PlanID: plan.ID, Plan: plan.Name}
		if err := c.reserve(entry); err != nil {
			return err
		}
		started, err := c.broker.Provision(cmd.Context(), entry.ID, osbclient.InstanceRequest{
			ServiceID: service.ID, PlanID: plan.ID, Parameters: body, OrgGUID: org, SpaceGUID: space,
			Context: map[string]any{"platform": "holdfast", "instance_name": entry.Name, "organization_guid": org, "space_guid": space},
		})
		if refused(err) {
			return errors.Join(err, c.forget(entry.Name))
		}
		if err != nil {
			return fmt.Errorf("%w; whether the instance was made is not known: look with `holdfast list`, remove it with `holdfast delete %s`", err, entry.Name)
		}
		return c.follow(cmd.Context(), entry, started, "create")
	}
	return cmd
}

// refused tells whether the broker said no, so that nothing was made.
func refused(err error) bool {
	var failure *osbclient.Error
	return errors.As(err, &failure) && failure.Status >= 400 && failure.Status < 500
}

// reserve remembers a new instance before it is asked for: a lost answer then
// leaves nothing that has no name.
func (c *client) reserve(entry osbclient.Entry) error {
	return c.book.Change(func(names osbclient.Names) error {
		if _, taken := names[c.broker.URL][entry.Name]; taken {
			return fmt.Errorf("an instance called %q exists already", entry.Name)
		}
		names.Put(c.broker.URL, entry)
		return nil
	})
}

func (c *client) forget(name string) error {
	return c.book.Change(func(names osbclient.Names) error {
		names.Remove(c.broker.URL, name)
		return nil
	})
}

// follow waits for an operation with a progress bar and prints its end.
func (c *client) follow(ctx context.Context, entry osbclient.Entry, started osbclient.Started, what string) error {
	entry.Operation = started.Operation
	if err := c.remember(entry); err != nil {
		return err
	}
	begin := time.Now()
	last := osbclient.LastOperation{State: "succeeded"}
	if started.Async {
		progress := c.out.progress(fmt.Sprintf("%s %s", what, entry.Name))
		var err error
		last, err = c.broker.Wait(ctx, entry.ID, entry.ServiceID, entry.PlanID, started.Operation, progress.report)
		progress.end()
		if ctx.Err() != nil {
			return fmt.Errorf("%w; the %s of %s goes on: `holdfast list` shows it", ctx.Err(), what, entry.Name)
		}
		if err != nil {
			return err
		}
	}
	if entry.MovesTo != nil {
		if err := c.remember(entry.Moved(last.State == "succeeded")); err != nil {
			return err
		}
	}
	took := time.Since(begin)
	if c.json {
		if err := c.out.object(map[string]any{"name": entry.Name, "id": entry.ID, "operation": what, "state": last.State, "description": last.Description, "seconds": took.Seconds()}); err != nil {
			return err
		}
		if last.State != "succeeded" {
			return exitStatus(1)
		}
		return nil
	}
	if last.State != "succeeded" {
		return fmt.Errorf("%s of %s failed: %s", what, entry.Name, last.Description)
	}
	c.out.line("OK  %s of %s succeeded after %s", what, entry.Name, seconds(took))
	return nil
}

// instanceRow is one line of `holdfast list`.
type instanceRow struct {
	osbclient.Entry
	State       string `json:"state"`
	Description string `json:"description"`
}

func newListCommand(c *client) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List your service instances", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			names, err := c.book.Read()
			if err != nil {
				return err
			}
			entries := names.Of(c.broker.URL)
			rows := make([]instanceRow, len(entries))
			var wait sync.WaitGroup
			for i, entry := range entries {
				wait.Go(func() { rows[i] = c.row(cmd.Context(), entry) })
			}
			wait.Wait()
			if c.json {
				return c.out.object(rows)
			}
			cells := [][]string{}
			for _, r := range rows {
				cells = append(cells, []string{r.Name, r.Service, r.Plan, r.State, fmt.Sprint(len(r.Bindings)), r.Description})
			}
			return c.out.table([]string{"NAME", "SERVICE", "PLAN", "LAST OPERATION", "BINDINGS", "MESSAGE"}, cells)
		},
	}
}

func (c *client) row(ctx context.Context, entry osbclient.Entry) instanceRow {
	last, err := c.broker.LastOperation(ctx, entry.ID, entry.ServiceID, entry.PlanID, "")
	var failure *osbclient.Error
	switch {
	case errors.As(err, &failure) && failure.Status == http.StatusNotFound:
		return instanceRow{Entry: entry, State: "unknown to the broker"}
	case err != nil:
		return instanceRow{Entry: entry, State: "unknown", Description: err.Error()}
	}
	return instanceRow{Entry: entry, State: last.State, Description: last.Description}
}

func newUpdateCommand(c *client) *cobra.Command {
	var params, planName string
	cmd := &cobra.Command{
		Use: "update NAME", Short: "Move an instance to another plan or change its parameters", Args: cobra.ExactArgs(1),
		Example: "  holdfast update mydb --plan single-large",
	}
	cmd.Flags().StringVarP(&params, "parameters", "c", "", "parameters, as a JSON object or @FILE")
	cmd.Flags().StringVarP(&planName, "plan", "p", "", "the new plan's name")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if planName == "" && params == "" {
			return errors.New("nothing to update: give --plan, --parameters or both")
		}
		entry, err := c.entry(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		body, err := parameters(params)
		if err != nil {
			return err
		}
		request := osbclient.InstanceRequest{ServiceID: entry.ServiceID, Parameters: body, Context: map[string]any{"platform": "holdfast", "instance_name": entry.Name}}
		if planName != "" {
			_, plan, err := c.findPlan(cmd, entry.Service, planName)
			if err != nil {
				return err
			}
			request.PlanID = plan.ID
			entry.MovesTo = &osbclient.PlanRef{ID: plan.ID, Name: plan.Name}
		}
		started, err := c.broker.Update(cmd.Context(), entry.ID, request)
		if err != nil {
			return err
		}
		return c.follow(cmd.Context(), entry, started, "update")
	}
	return cmd
}

func newDeleteCommand(c *client) *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete an instance and all its data", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			entry, err := c.entry(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			for name, id := range entry.Bindings {
				if err := c.broker.Unbind(cmd.Context(), entry.ID, id, entry.ServiceID, entry.PlanID); err != nil {
					return fmt.Errorf("remove binding %s first: %w", name, err)
				}
			}
			started, err := c.broker.Deprovision(cmd.Context(), entry.ID, entry.ServiceID, entry.PlanID)
			if err != nil {
				return err
			}
			if err := c.follow(cmd.Context(), entry, started, "delete"); err != nil {
				return err
			}
			return c.forget(entry.Name)
		},
	}
}
