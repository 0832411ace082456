// Package manifest is the director's pure model: what deployment manifests and
// cloud configs say, and what follows from them for the instances of a
// deployment. It does no IO, knows no VM and no database, and so all of it can
// be tested by tables.
//
// At the door, and for the answers that need no task:
//
//	doc, err := manifest.Read(text)              // YAML, a hash, with a name
//	conf, err := manifest.ReadConfig(text)       // YAML, a hash
//	lines, err := manifest.DiffDeployments(…)    // /deployments/NAME/diff
//	lines := manifest.DiffConfigs(…)             // /configs/diff
//
// A deploy goes on with:
//
//	merged, err := manifest.MergeConfigs(confs...)
//	cloud, err := manifest.ParseCloudConfig(merged)
//	vars, err := doc.Variables()                 // for variables.Ensure
//	filled, err := variables.Interpolate(…, doc) // ((placeholders)) are gone
//	m, err := manifest.Parse(filled.Document, cloud, available, options)
//	plan, err := manifest.Plan(…)                // instances, availability zones, addresses
//	links, err := manifest.Links(…)              // what jobs are told about each other
//	spec := manifest.InstanceSpec(…)             // what templates see as `spec`
//
// Faults are *Error and carry the code and the words of the BOSH director. They
// quote objects, but never a value that came from a variable nor one below
// properties, env or options: those may be secrets.
package manifest
