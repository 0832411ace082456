package stack

import (
	"fmt"
	"net"
)

// ports are the addresses of parts that do not run yet, kept from other programs:
// minutes can lie between the choice of a port and its part's start.
type ports map[string]net.Listener

// holdPorts takes hold of all addresses; one that is in use is a fault that says so.
func holdPorts(addresses ...string) (ports, error) {
	held := ports{}
	for _, address := range addresses {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			held.release(addresses...)
			return nil, fmt.Errorf("the stack's port is used by another program: %w", err)
		}
		held[address] = listener
	}
	return held, nil
}

// release lets a part listen there.
func (p ports) release(addresses ...string) {
	for _, address := range addresses {
		if listener, ok := p[address]; ok {
			listener.Close()
			delete(p, address)
		}
	}
}
