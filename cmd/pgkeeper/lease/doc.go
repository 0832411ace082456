// Package lease keeps what a cluster shares in Consul: the keys below
// holdfast/<deployment>/ and the alias, the services of the synthetic catalog
// node that is named like the deployment.
//
// It reads and writes as it is told and judges nothing. No session and no agent
// are used: it talks to Consul's servers directly, to one as long as that
// answers and to the next when it does not.
package lease
