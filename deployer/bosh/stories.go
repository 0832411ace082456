package bosh

import (
	"context"
	"sync"
	"time"
)

// maxStories bounds how many tasks' events are remembered. One that was
// forgotten is read from its beginning.
const maxStories = 512

// stories remembers how far the events of running tasks were read, so that a
// poll fetches only what is new.
type stories struct {
	mu  sync.Mutex
	all map[int]*remembered
}

type remembered struct {
	mu    sync.Mutex
	story story
	used  time.Time // guarded by stories.mu
}

func (s *stories) of(id int, now time.Time) *remembered {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[int]*remembered{}
	}
	r, known := s.all[id]
	if !known {
		if len(s.all) >= maxStories {
			s.forgetOldest()
		}
		r = &remembered{}
		s.all[id] = r
	}
	r.used = now
	return r
}

func (s *stories) forgetOldest() {
	oldest := 0
	for id, r := range s.all {
		if oldest == 0 || r.used.Before(s.all[oldest].used) {
			oldest = id
		}
	}
	delete(s.all, oldest)
}

// read brings a task's story up to date and returns what it tells.
func (s *stories) read(ctx context.Context, from remote, id int, now time.Time) (story, error) {
	r := s.of(id, now)
	r.mu.Lock()
	defer r.mu.Unlock()
	chunk, whole, err := from.events(ctx, id, r.story.offset)
	if err != nil {
		return story{}, err
	}
	if whole {
		r.story = story{}
	}
	r.story.feed(chunk)
	return r.story, nil
}
