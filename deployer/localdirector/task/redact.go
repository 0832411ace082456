package task

// redactor masks the secrets of one task.
type redactor struct{}

func (r *redactor) add(...string) {}

func (r *redactor) mask(s string) string { return s }
