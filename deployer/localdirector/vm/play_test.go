package vm_test

import (
	"os"
	"testing"
	"time"
)

func TestPlay(t *testing.T) {
	f := newFixture(t)
	v, _ := f.create(t, f.spec(10))
	time.Sleep(1500 * time.Millisecond)
	out, err := inside(t, v, os.Getenv("PLAY"))
	t.Log(out, err)
}
