package render

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// The script goes over the command line: it is no secret, and standard input
// is taken by what it works on.
//
//go:embed context.rb
var contextScript string

// rubyOutput is what context.rb answers.
type rubyOutput struct {
	Results     []rubyResult `json:"results"`
	Interrupted string       `json:"interrupted"`
}

type rubyResult struct {
	Files  map[string][]byte `json:"files"`
	Errors []templateError   `json:"errors"`
}

// killDelay is how long Ruby has to say where it was interrupted.
const killDelay = 2 * time.Second

// runRuby lets one Ruby process do all the work.
func (r *Renderer) runRuby(ctx context.Context, in rubyInput) (*rubyOutput, error) {
	text, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("encode properties: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.opts.Timeout, fmt.Errorf("took longer than %s", r.opts.Timeout))
	defer cancel()
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)

	stdout := &boundedBuffer{left: r.opts.OutputLimit/3*4 + 1<<20} // base64, and some room for names and errors
	stdout.overflow = func() {
		abort(fmt.Errorf("rendered files have more than %d MiB", r.opts.OutputLimit>>20))
	}
	stderr := &boundedBuffer{left: 64 << 10}
	cmd := exec.CommandContext(ctx, r.opts.Ruby, "--disable=gems,did_you_mean,error_highlight,rubyopt", "-Eutf-8:utf-8", "-e", contextScript)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=/"} // the director's own environment is not the templates'
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = killDelay
	if err := cmd.Start(); err != nil {
		return nil, r.startError(err)
	}
	err = cmd.Wait()
	// What templates started and left running goes with them. None left is fine.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)

	var out rubyOutput
	decodeErr := json.Unmarshal(stdout.buf.Bytes(), &out)
	switch {
	case ctx.Err() != nil && out.Interrupted != "":
		return nil, fmt.Errorf("%w, while filling in %s", context.Cause(ctx), out.Interrupted)
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("ruby: %w%s", err, lastLines(stderr.buf.Bytes()))
	case decodeErr != nil:
		return nil, fmt.Errorf("ruby ended early, a template may have ended it%s", lastLines(stderr.buf.Bytes()))
	}
	return &out, nil
}

func (r *Renderer) startError(err error) error {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("templates are filled in by Ruby, and there is no %q: install it with `apt-get install --yes ruby`", r.opts.Ruby)
	}
	return fmt.Errorf("start ruby: %w", err)
}

// lastLines quotes the end of what Ruby complained about. Only errors of the
// script itself come this way; those of templates are in its answer.
func lastLines(stderr []byte) string {
	lines := strings.Split(strings.TrimSpace(string(stderr)), "\n")
	if len(lines) > 3 {
		lines = lines[len(lines)-3:]
	}
	if text := strings.Join(lines, " | "); text != "" {
		return ": " + text
	}
	return ""
}

// boundedBuffer takes so many bytes; the first one too many calls overflow, if
// there is one, and is dropped. The buffer is no embedded field: its ReadFrom would go round the bound.
type boundedBuffer struct {
	buf      bytes.Buffer
	left     int64
	overflow func()
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if int64(len(p)) <= b.left {
		b.left -= int64(len(p))
		return b.buf.Write(p)
	}
	b.left = 0
	if b.overflow != nil {
		b.overflow()
		return 0, io.ErrShortBuffer
	}
	return len(p), nil
}
