package manifest

// SpecInput is what the `spec` of a template is built from.
type SpecInput struct {
	Deployment     string
	Group          *InstanceGroup
	Instance       *Instance
	Job            Job
	JobID          string // of the job's release version, "" when unknown
	ReleaseVersion string
}

// InstanceSpec is what ERB templates of the job see as `spec`.
func InstanceSpec(in SpecInput) map[string]any { return nil }
