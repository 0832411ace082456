package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

func claimInOrder(t *testing.T, f *fixture) {
	_, err := f.Claim(f.ctx, "w", lease)
	wantKind(t, "Claim of nothing", err, fault.NotFound, nil)
	for i := range 3 {
		f.create(t, fmt.Sprintf("i%d", i))
	}
	for i := range 3 {
		op := f.claim(t, "w")
		if want := fmt.Sprintf("create-i%d", i); op.ID != want || op.LeaseOwner != "w" || !op.LeaseUntil.Equal(f.clock.Now().Add(lease)) {
			t.Errorf("got %s held by %q until %v, want %s", op.ID, op.LeaseOwner, op.LeaseUntil, want)
		}
		if string(op.Private.Parameters) != `{"a":1}` {
			t.Errorf("a claimed operation's parameters: got %s", op.Private.Parameters)
		}
	}
	_, err = f.Claim(f.ctx, "w", lease)
	wantKind(t, "Claim when all are held", err, fault.NotFound, nil)
}

func claimRacesHaveOneWinner(t *testing.T, f *fixture) {
	f.create(t, "i1")
	handles := []store.Store{f.Store, f.open()}
	won := race(16, func(i int) bool {
		_, err := handles[i%2].Claim(f.ctx, fmt.Sprintf("w%d", i), lease)
		if err != nil {
			wantKind(t, "a loser", err, fault.NotFound, nil)
		}
		return err == nil
	})
	if won != 1 {
		t.Errorf("%d claims won, want 1", won)
	}
}

func leaseExpires(t *testing.T, f *fixture) {
	f.create(t, "i1")
	mine := f.claim(t, "w")
	f.clock.Advance(lease - time.Second)
	_, err := f.Claim(f.ctx, "x", lease)
	wantKind(t, "Claim before the lease expired", err, fault.NotFound, nil)
	f.clock.Advance(time.Second)
	theirs, err := f.Claim(f.ctx, "x", lease)
	if err != nil || theirs.ID != mine.ID {
		t.Fatalf("Claim after the lease expired: got %s, %v", theirs.ID, err)
	}
	mine.State = store.Preparing
	wantKind(t, "a save of the former holder", f.SaveOperation(f.ctx, &mine, nil), fault.Conflict, store.ErrStale)
	held, _, err := f.Extend(f.ctx, "w", []string{mine.ID}, lease)
	if err != nil || len(held) != 0 {
		t.Errorf("Extend of the former holder: got %v, %v", held, err)
	}
	theirs.State = store.Preparing
	if err := f.SaveOperation(f.ctx, &theirs, nil); err != nil {
		t.Errorf("a save of the new holder: %v", err)
	}
}

func extendAndRelease(t *testing.T, f *fixture) {
	f.create(t, "i1")
	f.create(t, "i2")
	f.claim(t, "w")
	f.claim(t, "w")
	f.clock.Advance(lease - time.Second)
	held, _, err := f.Extend(f.ctx, "w", []string{"create-i1", "create-i2", "create-i9"}, lease)
	if err != nil || len(held) != 2 {
		t.Fatalf("Extend: got %v, %v; want both", held, err)
	}
	if held, _, err = f.Extend(f.ctx, "w", nil, time.Hour); err != nil || len(held) != 0 {
		t.Errorf("Extend of nothing: got %v, %v", held, err)
	}
	f.clock.Advance(lease - time.Second)
	_, err = f.Claim(f.ctx, "x", lease)
	wantKind(t, "Claim of what was extended", err, fault.NotFound, nil)
	if err := f.Release(f.ctx, "create-i1", "x"); err != nil {
		t.Errorf("a stranger's release: %v", err)
	}
	_, err = f.Claim(f.ctx, "x", lease)
	wantKind(t, "Claim after a stranger's release", err, fault.NotFound, nil)
	if err := f.Release(f.ctx, "create-i1", "w"); err != nil {
		t.Fatalf("Release: %v", err)
	}
	if op := f.claim(t, "x"); op.ID != "create-i1" {
		t.Errorf("Claim after the release: got %s", op.ID)
	}
}
