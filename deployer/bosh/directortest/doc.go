// Package directortest tests directors and their clients.
//
// Suite states how a BOSH director behaves, as far as the deployer relies on
// it. It runs against Fake, against the local director and, when
// BOSH_ENVIRONMENT is set, against any other.
//
// Fake is a director without VMs: it keeps deployments, tasks, locks and
// events like a real one, answers byte for byte like it, and makes the trouble
// that tests ask for.
package directortest
