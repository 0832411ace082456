package decide

// State is what a keeper carries from one decision to the next. Its zero value is a keeper that has just begun; it is
// in memory only.
type State struct {
	Status Status

	began Instant // first call
}
