// Package postgresql is the service provider for dedicated PostgreSQL servers.
//
// An instance is one deployment with one database ("app"). Nobody logs in as
// its owner: each binding is a login role of its own that acts as the owner
// role, so what one binding makes works for the next, and removing a binding
// leaves no object behind. The provider keeps nothing; passwords and names
// derive from the instance's key and the binding's id, and the server is sent
// SCRAM verifiers, never passwords.
//
// It refuses to give anyone a superuser, and never logs statements.
package postgresql
