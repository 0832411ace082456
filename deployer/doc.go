// Package deployer is the contract that hides BOSH from the broker: it manages
// templates (BOSH manifests with placeholders) and deployments (a template
// and attributes, rendered and handed to a director).
//
// It knows no plan and no tenant, and keeps no database: the director is its
// memory. An operation's id, chosen by the caller, travels as the director's
// context id, so that after a crash the task is found again.
package deployer
