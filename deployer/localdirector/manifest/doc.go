// Package manifest is the director's pure model: what deployment manifests and
// cloud configs say, and what follows from them for the instances of a
// deployment. It does no IO, knows no VM and no database, and so all of it can
// be tested by tables.
//
// A deploy walks through it in this order:
//
//	doc, err := manifest.Read(text)                    // at the door: YAML, a hash, with a name
//	vars, err := doc.Variables()                       // variables.Ensure generates their values
//	tree, err := variables.Interpolate(doc.Tree(), …)  // ((placeholders)) are gone
//	m, err := manifest.Parse(tree, cloud)              // everything is checked here
//	err = m.Resolve(available)                         // "latest" becomes a version
//	plan, err := manifest.Plan(m, cloud, …)            // instances, availability zones, addresses
//	links, err := manifest.Links(m, plan, …)           // what jobs are told about each other
//	spec := manifest.InstanceSpec(…)                   // what templates see as `spec`
//
// Faults are *Error and carry the code and the words of the BOSH director.
// Faults never quote values of properties or env: those may be secrets.
package manifest
