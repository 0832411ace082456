package bosh

import (
	"sync"
	"time"
)

// submissions remembers those without an answer. They are not repeated, and
// their deployment is not taken for deleted, before they had time to turn
// into a task.
type submissions struct {
	mu  sync.Mutex
	all map[string]submission // by deployment
}

type submission struct {
	operationID string
	at          time.Time
}

func (s *submissions) doubt(deployment, operationID string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]submission{}
	}
	s.all[deployment] = submission{operationID, at}
}

// settled forgets a submission: its task was seen.
func (s *submissions) settled(deployment, operationID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[deployment].operationID == operationID {
		delete(s.all, deployment)
	}
}

// open returns the operation whose submission since then is still in doubt,
// empty for none.
func (s *submissions) open(deployment string, since time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, known := s.all[deployment]
	if known && found.at.Before(since) {
		delete(s.all, deployment)
		known = false
	}
	if !known {
		return ""
	}
	return found.operationID
}
