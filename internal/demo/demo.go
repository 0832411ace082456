package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/holdfast-osb/holdfast/internal/osbclient"
	"github.com/holdfast-osb/holdfast/internal/resolver"
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/internal/stack"
)

// Config of a demo.
type Config struct {
	Stack stack.Config // Folder must not exist; Report is the demo's own
	// KeptLogs is a folder that a demo which fails makes for the parts' logs:
	// the cause of what a user is told is there.
	KeptLogs string
	Out      io.Writer
	Log      *slog.Logger
}

// Timing is how long one step took.
type Timing struct {
	Step    string  `json:"step"`
	Seconds float64 `json:"seconds"`
}

// The service that is shown.
const (
	serviceName = "postgresql"
	planName    = "single-small"
)

// demo is one run.
type demo struct {
	config  Config
	begin   time.Time
	timings []Timing

	stack   *stack.Stack
	network stack.Network
	broker  *osbclient.Broker

	service     osbclient.Service
	plan        osbclient.Plan
	instance    string
	binding     string
	credentials map[string]any
	// lookup finds the addresses of names in the credentials, without a change
	// to this machine's resolver.
	lookup func(ctx context.Context, host string) ([]string, error)
	// address is the first server's: its name goes with the instance.
	address string
}

// Run runs the demo and removes all it made, also when a step fails.
func Run(ctx context.Context, config Config) (timings []Timing, err error) {
	d := &demo{config: config, begin: time.Now(), instance: osbclient.NewID(), binding: osbclient.NewID()}
	defer func() {
		if err != nil && ctx.Err() == nil {
			err = d.keepLogs(err)
		}
		// The context may be what ended the demo: clean up all the same.
		if cleanErr := d.cleanUp(context.WithoutCancel(ctx)); cleanErr != nil {
			err = errors.Join(err, cleanErr)
		}
		timings = d.timings
	}()
	for _, s := range []struct {
		title string
		run   func(context.Context) error
	}{
		{"start the local stack: director, deployer, SPI, broker", d.startStack},
		{"ask the broker what it offers", d.readCatalog},
		{"create a service instance of plan " + planName, d.provision},
		{"bind it: get credentials", d.bind},
		{"run SQL through exactly these credentials", d.useSQL},
		{"unbind: the login is gone", d.unbind},
		{"delete the instance", d.deprovision},
		{"look for what is left of it", d.lookAround},
	} {
		if err := d.step(ctx, s.title, s.run); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (d *demo) step(ctx context.Context, title string, run func(context.Context) error) error {
	fmt.Fprintf(d.config.Out, "\n%6.1f s  %s\n", time.Since(d.begin).Seconds(), title)
	begin := time.Now()
	if err := run(ctx); err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	d.timings = append(d.timings, Timing{Step: title, Seconds: time.Since(begin).Seconds()})
	return nil
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.config.Out, "            "+format+"\n", args...)
}

func (d *demo) startStack(ctx context.Context) (err error) {
	config := d.config.Stack
	config.Report, config.Log = d.say, d.config.Log
	if d.stack, err = stack.Up(ctx, config); err != nil {
		return err
	}
	if d.network, err = d.stack.Network(ctx); err != nil {
		return err
	}
	d.lookup = resolver.Lookup(d.stack.Resolver())
	access := d.stack.Access()
	d.broker = &osbclient.Broker{URL: access.URL, Username: access.Username, Password: secret.New(access.Password)}
	d.say("the broker answers on %s; VMs get addresses from %s", access.URL, d.network.Subnet)
	return nil
}

func (d *demo) readCatalog(ctx context.Context) error {
	services, err := d.broker.Catalog(ctx)
	if err != nil {
		return err
	}
	for _, service := range services {
		for _, plan := range service.Plans {
			d.say("%-12s %-14s %s", service.Name, plan.Name, plan.Description)
			if service.Name == serviceName && plan.Name == planName {
				d.service, d.plan = service, plan
			}
		}
	}
	if d.plan.ID == "" {
		return fmt.Errorf("the catalog has no %s %s", serviceName, planName)
	}
	return nil
}

// provisionLimit bounds a create and a delete.
const provisionLimit = 5 * time.Minute

func (d *demo) provision(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, provisionLimit)
	defer cancel()
	const org, space = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
	started, err := d.broker.Provision(ctx, d.instance, osbclient.InstanceRequest{
		ServiceID: d.service.ID, PlanID: d.plan.ID, OrgGUID: org, SpaceGUID: space,
		Context: map[string]any{"platform": "holdfast", "organization_guid": org, "space_guid": space, "instance_name": "demo"},
	})
	if err != nil {
		return err
	}
	return d.follow(ctx, started)
}

func (d *demo) deprovision(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, provisionLimit)
	defer cancel()
	started, err := d.broker.Deprovision(ctx, d.instance, d.service.ID, d.plan.ID)
	if err != nil {
		return err
	}
	return d.follow(ctx, started)
}

// longestSilence is how long the same word of progress is not repeated.
const longestSilence = 2 * time.Second

// follow prints an operation's progress until it ends.
func (d *demo) follow(ctx context.Context, started osbclient.Started) error {
	if !started.Async {
		return nil
	}
	begin, said, saidAt := time.Now(), "", time.Time{}
	last, err := d.broker.Wait(ctx, d.instance, d.service.ID, d.plan.ID, started.Operation, func(last osbclient.LastOperation) {
		if last.Description != said || time.Since(saidAt) > longestSilence {
			said, saidAt = last.Description, time.Now()
			d.say("%5.1f s  %s", time.Since(begin).Seconds(), said)
		}
	})
	if err != nil {
		return err
	}
	if last.State != "succeeded" {
		return fmt.Errorf("the operation %s: %s", last.State, last.Description)
	}
	return nil
}

func (d *demo) bind(ctx context.Context) error {
	credentials, err := d.broker.Bind(ctx, d.instance, d.binding, osbclient.BindRequest{ServiceID: d.service.ID, PlanID: d.plan.ID})
	if err != nil {
		return err
	}
	d.credentials = credentials
	for _, key := range []string{"host", "port", "database", "username"} {
		d.say("%-9s %v", key, credentials[key])
	}
	d.say("%-9s %d characters, shown to the app only", "password", len(fmt.Sprint(credentials["password"])))
	return d.lookUp(ctx)
}

func (d *demo) unbind(ctx context.Context) error {
	if err := d.broker.Unbind(ctx, d.instance, d.binding, d.service.ID, d.plan.ID); err != nil {
		return err
	}
	return d.refusedLogin(ctx)
}

// lookAround checks that the director has nothing of the instance, then
// removes the stack and checks that the machine has nothing of the stack.
func (d *demo) lookAround(ctx context.Context) error {
	names, err := d.stack.Deployments()
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return fmt.Errorf("the director still has deployments: %v", names)
	}
	d.say("the director has no deployment")
	if err := d.refusedConnection(ctx); err != nil {
		return err
	}
	if err := d.cleanUp(ctx); err != nil {
		return err
	}
	left, err := stack.Leftovers(d.config.Stack.Folder, d.network)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("this machine still has %v", left)
	}
	d.say("the stack is removed: no process, mount, loop device, link, route or file of it is left")
	return nil
}

// keepLogs saves the logs from the clean-up and tells where they are.
func (d *demo) keepLogs(cause error) error {
	logs := d.config.Stack.Folder.LogDir()
	if _, err := os.Stat(logs); errors.Is(err, fs.ErrNotExist) {
		return cause // it failed before any part ran
	}
	if err := os.CopyFS(d.config.KeptLogs, os.DirFS(logs)); err != nil {
		return errors.Join(cause, fmt.Errorf("keep the logs: %w", err))
	}
	return fmt.Errorf("%w (logs: %s)", cause, d.config.KeptLogs)
}

// cleanUp removes the stack; one that is not there is no error.
func (d *demo) cleanUp(ctx context.Context) error {
	if d.stack != nil {
		d.say("ending the parts")
		d.stack.Stop()
		d.stack = nil
	}
	if _, err := os.Stat(string(d.config.Stack.Folder)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return stack.Down(ctx, d.config.Stack.Folder, d.say)
}
