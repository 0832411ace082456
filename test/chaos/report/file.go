package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File holds runs, a JSON line each. Lines are only ever added.
type File string

// Read returns all runs in the order they were made; a file that does not
// exist has none.
func (f File) Read() ([]Run, error) {
	file, err := os.Open(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the results: %w", err)
	}
	defer file.Close()
	var runs []Run
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 4<<20)
	for number := 1; lines.Scan(); number++ {
		var run Run
		if err := json.Unmarshal(lines.Bytes(), &run); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", f, number, err)
		}
		runs = append(runs, run)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the results: %w", err)
	}
	return runs, nil
}

// Append adds a run.
func (f File) Append(run Run) error {
	line, err := json.Marshal(run)
	if err != nil {
		return fmt.Errorf("encode a run: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(string(f)), 0o755); err != nil {
		return fmt.Errorf("make the results' folder: %w", err)
	}
	file, err := os.OpenFile(string(f), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the results: %w", err)
	}
	_, err = file.Write(append(line, '\n'))
	return errors.Join(err, file.Sync(), file.Close())
}

// Done counts the runs of a fault on a setup.
func Done(runs []Run, setup Setup, fault string) int {
	n := 0
	for _, run := range runs {
		if run.Setup == setup && run.Fault == fault {
			n++
		}
	}
	return n
}
