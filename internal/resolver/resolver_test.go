package resolver_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/holdfast-osb/holdfast/internal/resolver"
)

// nameServer is a DNS server that gives every name one address, or a failure.
func nameServer(t *testing.T, address [4]byte, code dnsmessage.RCode) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buffer := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			var message dnsmessage.Message
			if message.Unpack(buffer[:n]) != nil {
				continue
			}
			message.Response, message.RCode, message.Additionals = true, code, nil
			if code == dnsmessage.RCodeSuccess && message.Questions[0].Type == dnsmessage.TypeA {
				message.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: message.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
					Body:   &dnsmessage.AResource{A: address},
				}}
			}
			if answer, err := message.Pack(); err == nil {
				conn.WriteTo(answer, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

// silent is a server that takes questions and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().String()
}

func start(t *testing.T, servers ...string) *net.Resolver {
	t.Helper()
	r, err := resolver.Start(resolver.Config{Address: "127.0.0.1:0", Domain: "holdfast.internal", Servers: servers, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, r.Address())
	}}
}

func TestTheFirstServerThatKnowsAnswers(t *testing.T) {
	good := nameServer(t, [4]byte{10, 1, 2, 3}, dnsmessage.RCodeSuccess)
	failing := nameServer(t, [4]byte{}, dnsmessage.RCodeServerFailure)
	names := start(t, silent(t), failing, good)
	for _, name := range []string{"primary.d-1.service.holdfast.internal.", "PRIMARY.d-1.Service.Holdfast.INTERNAL."} {
		began := time.Now()
		addresses, err := names.LookupHost(t.Context(), name)
		if err != nil || len(addresses) != 1 || addresses[0] != "10.1.2.3" {
			t.Errorf("%s: got %v, %v", name, addresses, err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("%s took %s: a silent server must cost no time", name, took)
		}
	}
}

// A server that has just started knows no name yet.
func TestWhoKnowsTheNameIsBelieved(t *testing.T) {
	good := nameServer(t, [4]byte{10, 1, 2, 3}, dnsmessage.RCodeSuccess)
	names := start(t, nameServer(t, [4]byte{}, dnsmessage.RCodeNameError), good, nameServer(t, [4]byte{}, dnsmessage.RCodeNameError))
	for range 20 {
		addresses, err := names.LookupHost(t.Context(), "primary.d-1.service.holdfast.internal.")
		if err != nil || len(addresses) != 1 {
			t.Fatalf("got %v, %v", addresses, err)
		}
	}
}

func TestADenialIsNotKeptBack(t *testing.T) {
	names := start(t, nameServer(t, [4]byte{}, dnsmessage.RCodeNameError), silent(t))
	began := time.Now()
	_, err := names.LookupHost(t.Context(), "nobody.holdfast.internal.")
	var fault *net.DNSError
	if !errors.As(err, &fault) || !fault.IsNotFound || time.Since(began) > 1500*time.Millisecond {
		t.Errorf("got %v after %s, want not found at once", err, time.Since(began))
	}
}

func TestOtherNamesAreRefused(t *testing.T) {
	names := start(t, nameServer(t, [4]byte{10, 1, 2, 3}, dnsmessage.RCodeSuccess))
	for _, name := range []string{"example.com.", "xholdfast.internal.", "holdfast.internal.example.com."} {
		if addresses, err := names.LookupHost(t.Context(), name); err == nil {
			t.Errorf("%s: got %v, want a refusal", name, addresses)
		}
	}
}

func TestANameThatDoesNotExist(t *testing.T) {
	names := start(t, nameServer(t, [4]byte{}, dnsmessage.RCodeNameError))
	_, err := names.LookupHost(t.Context(), "nobody.holdfast.internal.")
	var fault *net.DNSError
	if !errors.As(err, &fault) || !fault.IsNotFound {
		t.Errorf("got %v, want not found", err)
	}
}

func TestNoServerAnswers(t *testing.T) {
	names := start(t, nameServer(t, [4]byte{}, dnsmessage.RCodeServerFailure))
	_, err := names.LookupHost(t.Context(), "primary.d.service.holdfast.internal.")
	var fault *net.DNSError
	if !errors.As(err, &fault) || fault.IsNotFound {
		t.Errorf("got %v, want a failure that is no absence", err)
	}
}

// What is no DNS must not stop it.
func TestGarbage(t *testing.T) {
	r, err := resolver.Start(resolver.Config{Address: "127.0.0.1:0", Domain: "holdfast.internal", Log: slog.New(slog.DiscardHandler),
		Servers: []string{nameServer(t, [4]byte{10, 1, 2, 3}, dnsmessage.RCodeSuccess)}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, network := range []string{"udp", "tcp"} {
		for _, garbage := range [][]byte{{}, {1}, make([]byte, 12), make([]byte, 400), []byte("GET / HTTP/1.0\r\n\r\n")} {
			conn, err := net.Dial(network, r.Address())
			if err != nil {
				t.Fatal(err)
			}
			conn.Write(garbage)
			conn.Close()
		}
	}
	names := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, r.Address())
	}}
	if _, err := names.LookupHost(t.Context(), "a.holdfast.internal."); err != nil {
		t.Error(err)
	}
}

func TestLookup(t *testing.T) {
	r, err := resolver.Start(resolver.Config{Address: "127.0.0.1:0", Domain: "holdfast.internal", Log: slog.New(slog.DiscardHandler),
		Servers: []string{nameServer(t, [4]byte{10, 1, 2, 3}, dnsmessage.RCodeSuccess)}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	lookup := resolver.Lookup(r.Address(), "holdfast.internal")
	for host, want := range map[string]string{
		"primary.d-1.service.holdfast.internal": "10.1.2.3", "PRIMARY.d-1.service.holdfast.internal.": "10.1.2.3", "10.9.9.9": "10.9.9.9",
	} {
		if got, err := lookup(t.Context(), host); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %v, %v, want %s", host, got, err, want)
		}
	}
}
