package localdirector

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/vm"
)

// Stack is what others on the machine must know of a director: which links
// and addresses are its own, and which limits this kernel does not enforce.
type Stack struct {
	vm.Stack
	// Limits is a sentence, empty when every limit is enforced.
	Limits string `json:"limits"`
}

// ReadStack reads the record of the director in dir, which it writes when it
// starts. It works beside a running one.
func ReadStack(dir string) (Stack, error) {
	var s Stack
	text, err := os.ReadFile(filepath.Join(dir, stackFile))
	if err != nil {
		return s, fmt.Errorf("read the stack's record (the director writes it when it starts): %w", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("read the stack's record: %w", err)
	}
	return s, nil
}

func writeStack(dir string, host *vm.Host) error {
	text, err := json.Marshal(Stack{Stack: host.Stack(), Limits: host.Limits().NotEnforced})
	if err != nil {
		return fmt.Errorf("write the stack's record: %w", err)
	}
	return replaceFile(filepath.Join(dir, stackFile), append(text, '\n'), 0o644)
}

// replaceFile writes a file so that it is whole whenever it is read.
func replaceFile(path string, content []byte, mode os.FileMode) error {
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
