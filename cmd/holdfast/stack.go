package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-osb/holdfast/internal/logging"
	"github.com/holdfast-osb/holdfast/internal/stack"
)

func defaultState() string { return string(stack.DefaultFolder()) }

func accessFile(state string) string { return stack.Folder(state).AccessFile() }

// stackFlags say what a stack is made from.
type stackFlags struct {
	stemcell, release, compiled string
	resurrectionDelay           time.Duration
	consulServers               int
}

func (f *stackFlags) addArtifacts(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.stemcell, "stemcell", "", "stemcell tarball, as made by make stemcell")
	cmd.Flags().StringVar(&f.release, "release", "", "release tarball, as made by make release")
	cmd.Flags().StringVar(&f.compiled, "compiled-packages", "", "folder of compiled packages that outlives the stack")
	cmd.Flags().IntVar(&f.consulServers, "consul-servers", 0, "number of Consul servers, 1 or 3 (default: what the stack has, 1 at first)")
	cmd.Flags().DurationVar(&f.resurrectionDelay, "resurrection-delay", 0, "how long a dead VM stays dead before it is recreated")
}

func (f *stackFlags) config(folder stack.Folder) stack.Config {
	return stack.Config{Folder: folder, Stemcell: f.stemcell, Release: f.release, CompiledPackages: f.compiled, ResurrectionDelay: f.resurrectionDelay, ConsulServers: f.consulServers}
}

func newUpCommand() *cobra.Command {
	var flags stackFlags
	var state string
	var detach bool
	cmd := &cobra.Command{
		Use: "up", GroupID: groupStack, Args: cobra.NoArgs,
		Short: "Start director, deployer, Consul, SPI and broker, and keep them running",
		Long: "Start director, deployer, SPI and broker, each a process of its own, and restart what dies. Consul is a deployment.\n" +
			"Ctrl-C ends the parts and leaves the VMs running; `holdfast up` goes on with them, `holdfast down` removes everything.",
	}
	flags.addArtifacts(cmd)
	cmd.Flags().StringVar(&state, "state", defaultState(), "folder for all of the stack's state")
	cmd.Flags().BoolVar(&detach, "detach", false, "return when the stack is up and leave it running")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		config := flags.config(stack.Folder(state))
		if !detach {
			return upForeground(cmd, config)
		}
		if err := config.Check(); err != nil {
			return err
		}
		return upDetached(cmd, config.Folder)
	}
	return cmd
}

// readyLine ends a start's output: the detached start waits for it.
const readyLine = "The stack is up."

func upForeground(cmd *cobra.Command, config stack.Config) error {
	out, begin := cmd.OutOrStdout(), time.Now()
	config.Report = func(format string, args ...any) {
		fmt.Fprintf(out, "%6.1f s  %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, args...))
	}
	config.Log = logging.New(cmd.ErrOrStderr(), "supervisor", 0)
	s, err := stack.Up(cmd.Context(), config)
	if err != nil {
		return err
	}
	defer s.Stop()
	printAccess(out, config.Folder, s)
	<-cmd.Context().Done()
	return nil
}

// printAccess says how to reach everything.
func printAccess(w io.Writer, folder stack.Folder, s *stack.Stack) {
	access, director := s.Access(), s.DirectorAccess()
	resolver, domain := s.Resolver()
	host, port, _ := strings.Cut(resolver, ":")
	fmt.Fprintf(w, `
Broker    %s   user %s, password in %s
Director  %s   for the stock bosh CLI:
          export BOSH_ENVIRONMENT=%s BOSH_CLIENT=%s BOSH_CA_CERT=%s
          export BOSH_CLIENT_SECRET=$(sed -n 's/.*"director_password": "\(.*\)".*/\1/p' %s)
Names     %[12]s   DNS for *.%[13]s: dig @%[14]s -p %[15]s NAME
Logs      %[9]s

Try       %[16]s services%[10]s
          %[16]s create postgresql single-small mydb%[10]s
          %[16]s bind mydb%[10]s
          %[16]s down%[10]s        removes every trace

%[11]s
`, access.URL, access.Username, folder.AccessFile(),
		director.URL, director.URL, director.Username, director.CAFile, director.SecretsFile, filepath.Dir(folder.LogFile("x")), stateFlag(folder), readyLine, resolver, domain, host, port, os.Args[0])
}

// stateFlag is what a command needs to find a stack that is not in the default
// folder.
func stateFlag(folder stack.Folder) string {
	if string(folder) == defaultState() {
		return ""
	}
	return " --state " + string(folder)
}

// upDetached starts this command again in a session of its own, and shows what
// it prints until the stack is up.
func upDetached(cmd *cobra.Command, folder stack.Folder) error {
	if err := os.MkdirAll(filepath.Dir(folder.LogFile("up")), 0o700); err != nil {
		return fmt.Errorf("make the log folder: %w", err)
	}
	log, err := os.OpenFile(folder.LogFile("up"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer log.Close()
	start, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("find the log's end: %w", err)
	}
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the holdfast binary: %w", err)
	}
	var args []string
	for _, arg := range os.Args[1:] {
		if arg != "--detach" && arg != "--detach=true" {
			args = append(args, arg)
		}
	}
	child := exec.Command(binary, args...)
	child.Args[0] = os.Args[0] // as the user calls it
	child.Stdout, child.Stderr = log, log
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := child.Start(); err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	err = showUntilReady(cmd.Context(), cmd.OutOrStdout(), io.NewSectionReader(log, start, 1<<40), ended)
	if cmd.Context().Err() != nil {
		// Ctrl-C does not reach a process in another session.
		if child.Process.Signal(syscall.SIGTERM) == nil {
			<-ended
		}
	}
	return err
}

// failurePrefix begins the line in which a command says why it failed.
const failurePrefix = "holdfast: "

// showUntilReady copies the supervisor's words to out, without its log's
// lines, until it is ready or ended.
func showUntilReady(ctx context.Context, out io.Writer, log io.Reader, ended <-chan error) error {
	lines := bufio.NewReader(log)
	var partial string
	var exit error
	over := false
	for {
		text, err := lines.ReadString('\n')
		partial += text
		if err == nil {
			line := strings.TrimSuffix(partial, "\n")
			partial = ""
			if reason, failed := strings.CutPrefix(line, failurePrefix); failed {
				exit, over = errors.New(reason), true
			} else if !strings.HasPrefix(line, "{") {
				fmt.Fprintln(out, line)
			}
			if line == readyLine {
				return nil
			}
			continue
		}
		if !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the supervisor's log: %w", err)
		}
		if over {
			return exit
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case exit = <-ended:
			exit, over = fmt.Errorf("the supervisor ended without a word: %w", exit), true // read what is left of its words first
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func newDownCommand() *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use: "down", GroupID: groupStack, Args: cobra.NoArgs,
		Short: "Remove the stack with all its instances and data: every trace of it",
	}
	cmd.Flags().StringVar(&state, "state", defaultState(), "the stack's folder")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		begin := time.Now()
		err := stack.Down(cmd.Context(), stack.Folder(state), func(format string, args ...any) {
			fmt.Fprintf(cmd.OutOrStdout(), "%6.1f s  %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, args...))
		})
		if err == nil {
			fmt.Fprintf(cmd.OutOrStdout(), "%6.1f s  nothing of the stack is left\n", time.Since(begin).Seconds())
		}
		return err
	}
	return cmd
}

func newStatusCommand() *cobra.Command {
	var state string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", GroupID: groupStack, Args: cobra.NoArgs,
		Short: "Show the stack's parts and deployments",
	}
	cmd.Flags().StringVar(&state, "state", defaultState(), "the stack's folder")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		status, err := stack.ReadStatus(cmd.Context(), stack.Folder(state))
		if err != nil {
			return err
		}
		out := newPrinter(cmd.OutOrStdout(), asJSON)
		if asJSON {
			return out.object(status)
		}
		rows := [][]string{}
		for _, p := range status.Parts {
			row := []string{p.Name, "down", "", "", "", fmt.Sprint(p.Restarts)}
			if p.Up {
				row = []string{p.Name, "up", fmt.Sprint(p.PID), (time.Duration(p.Seconds) * time.Second).String(), fmt.Sprintf("%d MiB", p.MemoryMiB), fmt.Sprint(p.Restarts)}
			}
			rows = append(rows, row)
		}
		if err := out.table([]string{"PART", "STATE", "PID", "FOR", "MEMORY", "RESTARTS"}, rows); err != nil {
			return err
		}
		deployments := "not known while the director is down"
		if status.Deployments != nil {
			deployments = fmt.Sprint(len(status.Deployments))
		}
		out.line("\nbroker       %s\ndirector     %s\nnetwork      %s on %s\nlimits       %s\ndeployments  %s", status.BrokerURL, status.DirectorURL, status.Network.Subnet, status.Network.Bridge, status.Network.Limits, deployments)
		consul := status.Consul
		out.line("consul       %d servers, leader %s\nnames        *.%s by DNS on %s", len(consul.Servers), cmp.Or(consul.Leader, "unknown: "+consul.Problem), consul.Domain, consul.Resolver)
		if status.Problem != "" {
			return errors.New(status.Problem)
		}
		return nil
	}
	return cmd
}
