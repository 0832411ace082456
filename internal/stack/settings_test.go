package stack

import (
	"errors"
	"net"
	"os"
	"reflect"
	"strconv"
	"testing"
)

func TestSettingsAreMadeOnceAndKept(t *testing.T) {
	folder := Folder(t.TempDir())
	first, err := loadSettings(folder)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(folder.settingsFile()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	again, err := loadSettings(folder)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again, first) {
		t.Errorf("a second start has other settings:\n%+v\n%+v", first, again)
	}
	seen := map[string]bool{}
	for _, secret := range []string{first.DirectorPassword, first.DeployerToken, first.SPIToken, first.BrokerPassword, first.SealKey} {
		if len(secret) < 26 || seen[secret] {
			t.Errorf("%q is short or used twice", secret)
		}
		seen[secret] = true
	}
}

func TestBusyPortIsAvoided(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	_, text, _ := net.SplitHostPort(busy.Addr().String())
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	address, err := freeAddress(port)
	if err != nil || address == busy.Addr().String() {
		t.Errorf("got %s, %v; %s is in use", address, err, busy.Addr())
	}
}

// A port belongs to the stack from its choice on.
func TestPortsAreHeld(t *testing.T) {
	address, err := freeAddress(0)
	if err != nil {
		t.Fatal(err)
	}
	held, err := holdPorts(address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holdPorts(address); err == nil {
		t.Error("another stack takes the port")
	}
	held.release(address, "127.0.0.1:1")
	again, err := holdPorts(address)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	again.release(address)
}

func TestOneSupervisorAtATime(t *testing.T) {
	folder := Folder(t.TempDir())
	lock, err := folder.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := folder.lock(); !errors.Is(err, ErrRunning) {
		t.Errorf("a second supervisor: got %v", err)
	}
	lock.Close()
	again, err := folder.lock()
	if err != nil {
		t.Fatalf("after the first one's end: %v", err)
	}
	again.Close()
}
