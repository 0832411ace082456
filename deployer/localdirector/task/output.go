package task

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
)

// Kinds of output. A task has the first three from the moment it is queued.
const (
	OutputEvent  = "event"
	OutputDebug  = "debug"
	OutputResult = "result"
	OutputCPI    = "cpi"
)

// output is one of a task's append-only output files.
type output struct {
	mu sync.Mutex
	f  *os.File
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.f.Write(p)
}

// outputs are the files of one task.
type outputs struct {
	event, debug, result *output
	cpi                  *lazyOutput
}

func (o *outputs) close() error {
	return errors.Join(o.event.f.Close(), o.debug.f.Close(), o.result.f.Close(), o.cpi.close())
}

// lazyOutput is created by its first line: most tasks touch no VM.
type lazyOutput struct {
	mu   sync.Mutex
	path string
	f    *os.File
}

func (o *lazyOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.f == nil {
		f, err := openOutput(o.path)
		if err != nil {
			return 0, err
		}
		o.f = f
	}
	return o.f.Write(p)
}

func (o *lazyOutput) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.f == nil {
		return nil
	}
	return o.f.Close()
}

func (q *Queue) folder(id int64) string { return filepath.Join(q.dir, strconv.FormatInt(id, 10)) }

func openOutput(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// openOutputs creates the task's folder and files.
func (q *Queue) openOutputs(id int64) (*outputs, error) {
	dir := q.folder(id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the output folder of task %d: %w", id, err)
	}
	files := make([]*output, 3)
	for i, kind := range []string{OutputEvent, OutputDebug, OutputResult} {
		f, err := openOutput(filepath.Join(dir, kind))
		if err != nil {
			return nil, fmt.Errorf("open the %s output of task %d: %w", kind, id, err)
		}
		files[i] = &output{f: f}
	}
	return &outputs{
		event: files[0], debug: files[1], result: files[2],
		cpi: &lazyOutput{path: filepath.Join(dir, OutputCPI)},
	}, nil
}

// Output opens one of a task's outputs; the caller closes it. Faults:
// os.ErrNotExist for an unknown kind and when nothing was written yet.
func (q *Queue) Output(id int64, kind string) (*os.File, error) {
	if !slices.Contains([]string{OutputEvent, OutputDebug, OutputResult, OutputCPI}, kind) {
		return nil, fmt.Errorf("output %q of task %d: %w", kind, id, os.ErrNotExist)
	}
	f, err := os.Open(filepath.Join(q.folder(id), kind))
	if err != nil {
		return nil, fmt.Errorf("open the %s output of task %d: %w", kind, id, err)
	}
	return f, nil
}

// appendError ends the event output of a task that no longer runs. A line
// that was cut off by a crash stays apart from the new one.
func (q *Queue) appendError(id int64, e *Error) error {
	out, err := q.openOutputs(id)
	if err != nil {
		return err
	}
	line, err := errorLine(q.now(), e)
	if err != nil {
		return errors.Join(err, out.close())
	}
	if whole, err := endsInNewline(filepath.Join(q.folder(id), OutputEvent)); err == nil && !whole {
		line = "\n" + line
	}
	_, err = out.event.Write([]byte(line))
	return errors.Join(err, out.close())
}

func endsInNewline(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return true, err
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return last[0] == '\n', err
}
