package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Slow lays a slow cable between a VM and the stack's bridge: what the VM
// sends arrives by delay later, and of that the given percentage never. What it
// is sent arrives as before, so a round trip takes one delay longer.
//
// The kernel's own emulation (netem) is a module that many machines lack.
func (n *Network) Slow(vm VM, delay time.Duration, lossPercent int) (heal func(context.Context) error, err error) {
	cable, err := netlink.LinkByName(vm.link)
	if err != nil {
		return nil, fmt.Errorf("find the cable of VM %s: %w", vm.CID, err)
	}
	bridge, err := netlink.LinkByIndex(cable.Attrs().MasterIndex)
	if err != nil {
		return nil, fmt.Errorf("find the bridge of VM %s: %w", vm.CID, err)
	}
	near, far, err := n.extension(bridge)
	if err != nil {
		return nil, err
	}
	relay, err := newRelay(cable, far, delay, lossPercent)
	if err == nil {
		err = netlink.LinkSetNoMaster(cable)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("relay the packets of VM %s: %w", vm.CID, err), relay.close(), netlink.LinkDel(near))
	}
	return func(context.Context) error {
		// The VM, and with it its cable, may be gone: a new one is in the bridge.
		var missing netlink.LinkNotFoundError
		back, err := netlink.LinkByName(vm.link)
		if err == nil {
			err = netlink.LinkSetMaster(back, bridge)
		}
		if errors.As(err, &missing) {
			err = nil
		}
		return errors.Join(err, relay.close(), netlink.LinkDel(near))
	}, nil
}

// extension adds a pair of links of which one end is in the bridge. Its name is
// of the kind that the stack removes when it goes.
func (n *Network) extension(bridge netlink.Link) (near, far netlink.Link, err error) {
	var random [4]byte
	rand.Read(random[:]) // never fails, by its documentation
	name := n.stack + "v" + hex.EncodeToString(random[:])
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MasterIndex = name, bridge.Attrs().Index
	pair := &netlink.Veth{LinkAttrs: attributes, PeerName: name[:len(name)-1] + "x"}
	if err := netlink.LinkAdd(pair); err != nil {
		return nil, nil, fmt.Errorf("add link %s: %w", name, err)
	}
	far, err = netlink.LinkByName(pair.PeerName)
	for _, link := range []netlink.Link{pair, far} {
		if err == nil {
			// No address of its own: the machine shall not talk on it.
			_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+link.Attrs().Name+"/disable_ipv6", []byte("1"), 0)
			err = netlink.LinkSetUp(link)
		}
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("set up link %s: %w", name, err), netlink.LinkDel(pair))
	}
	return pair, far, nil
}

// relay carries frames between two links.
type relay struct {
	inside, outside *os.File
	stop            chan struct{}
}

type frame struct {
	due     time.Time
	content []byte
}

// queued frames per direction; more are dropped, as a switch does.
const queueLength = 8192

func newRelay(inside, outside netlink.Link, delay time.Duration, lossPercent int) (*relay, error) {
	r := &relay{stop: make(chan struct{})}
	var err error
	if r.inside, err = packetSocket(inside); err != nil {
		return r, err
	}
	if r.outside, err = packetSocket(outside); err != nil {
		return r, err
	}
	r.carry(r.inside, r.outside, delay, lossPercent)
	r.carry(r.outside, r.inside, 0, 0)
	return r, nil
}

// carry begins to carry frames in one direction.
func (r *relay) carry(from, to *os.File, delay time.Duration, lossPercent int) {
	queue := make(chan frame, queueLength)
	go func() {
		defer close(queue)
		buffer := make([]byte, 1<<17)
		for {
			size, err := from.Read(buffer)
			if errors.Is(err, os.ErrClosed) || errors.Is(err, unix.ENETDOWN) || errors.Is(err, unix.ENXIO) {
				return
			}
			if err != nil || mathrand.IntN(100) < lossPercent {
				continue
			}
			select {
			case queue <- frame{time.Now().Add(delay), append([]byte(nil), buffer[:size]...)}:
			default:
			}
		}
	}()
	go func() {
		for f := range queue {
			timer := time.NewTimer(time.Until(f.due))
			select {
			case <-timer.C:
			case <-r.stop:
				timer.Stop()
				return
			}
			_, _ = to.Write(f.content) // a frame that cannot be sent is lost
		}
	}()
}

func (r *relay) close() error {
	if r == nil {
		return nil
	}
	close(r.stop)
	var faults []error
	for _, socket := range []*os.File{r.inside, r.outside} {
		if socket != nil {
			faults = append(faults, socket.Close())
		}
	}
	return errors.Join(faults...)
}

// packetSocket reads what arrives on a link and writes what leaves by it, with
// the kernel's notes on checksums and segments that are still to be made.
func packetSocket(link netlink.Link) (*os.File, error) {
	protocol := uint16(unix.ETH_P_ALL)<<8 | uint16(unix.ETH_P_ALL)>>8 // in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	set := func(level, option, value int) {
		if err == nil {
			err = unix.SetsockoptInt(fd, level, option, value)
		}
	}
	set(unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1)
	set(unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	set(unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: link.Attrs().Index})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a packet socket on %s: %w", link.Attrs().Name, err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "packets of "+link.Attrs().Name), nil
}
