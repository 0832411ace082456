package decide

import "sort"

// Decide returns what to do now. It is a pure function: the same arguments give
// the same answer, and state is not changed but returned anew.
func Decide(cfg Config, state State, seen Observation) (State, []Action) {
	if state.began == 0 {
		state.began = seen.Now
	}
	return state, nil
}

func sortMembers(m Members) {
	sort.Slice(m, func(i, j int) bool { return m[i].Node < m[j].Node })
}
