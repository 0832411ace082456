// Package resolver answers DNS for one domain by asking that domain's servers,
// for apps on a machine whose own resolver is left alone. It refuses all other
// names: it is no way out.
//
// It keeps nothing: each question goes to all servers at once, and the first
// that knows an answer gives it, so that a server that is down costs no time,
// and one that has just started and knows nothing yet denies nothing.
package resolver

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Config of a resolver.
type Config struct {
	Address string   // where it listens, UDP and TCP: host:port
	Domain  string   // the only one it answers for
	Servers []string // host:port
	Log     *slog.Logger
}

const (
	// answerLimit bounds the wait for the servers.
	answerLimit = 2 * time.Second
	// denialLimit is how long the other servers have to know better than one
	// that says that there is no such name.
	denialLimit = 250 * time.Millisecond
	// idleLimit is how long a TCP client may be silent.
	idleLimit = 10 * time.Second
	// maxMessage is what a length prefix of two bytes allows (RFC 1035, 4.2.2).
	maxMessage = 1<<16 - 1
	// maxQuestions are answered at a time; more wait in the socket's buffer.
	maxQuestions = 256
)

// Resolver is a running one.
type Resolver struct {
	config Config
	domain string // ".holdfast.internal."
	udp    net.PacketConn
	tcp    net.Listener
	ctx    context.Context
	end    context.CancelFunc
	busy   sync.WaitGroup
	slots  chan struct{}
}

// Start listens and answers until Close.
func Start(config Config) (*Resolver, error) {
	udp, err := net.ListenPacket("udp", config.Address)
	if err != nil {
		return nil, fmt.Errorf("listen for DNS: %w", err)
	}
	tcp, err := net.Listen("tcp", udp.LocalAddr().String())
	if err != nil {
		udp.Close()
		return nil, fmt.Errorf("listen for DNS: %w", err)
	}
	ctx, end := context.WithCancel(context.Background())
	r := &Resolver{config: config, domain: "." + strings.ToLower(strings.Trim(config.Domain, ".")) + ".", udp: udp, tcp: tcp, ctx: ctx, end: end, slots: make(chan struct{}, maxQuestions)}
	r.busy.Go(r.serveUDP)
	r.busy.Go(r.serveTCP)
	return r, nil
}

// Address is where it listens.
func (r *Resolver) Address() string { return r.udp.LocalAddr().String() }

// Close ends it and waits for what it does.
func (r *Resolver) Close() {
	r.end()
	r.udp.Close()
	r.tcp.Close()
	r.busy.Wait()
}

func (r *Resolver) serveUDP() {
	buffer := make([]byte, maxMessage)
	for {
		n, from, err := r.udp.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // of one datagram
		}
		question := append([]byte(nil), buffer[:n]...)
		r.slots <- struct{}{}
		r.busy.Go(func() {
			defer func() { <-r.slots }()
			if answer := r.answer("udp", question); answer != nil {
				r.udp.WriteTo(answer, from) // the client asks again
			}
		})
	}
}

func (r *Resolver) serveTCP() {
	for {
		conn, err := r.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			r.config.Log.Warn("accepting a DNS client failed", "error", err.Error())
			select {
			case <-r.ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		r.slots <- struct{}{}
		r.busy.Go(func() {
			defer func() { <-r.slots }()
			stop := context.AfterFunc(r.ctx, func() { conn.Close() })
			defer stop()
			defer conn.Close()
			for {
				conn.SetDeadline(time.Now().Add(idleLimit))
				question, err := readMessage(conn)
				if err != nil {
					return
				}
				answer := r.answer("tcp", question)
				if answer == nil || writeMessage(conn, answer) != nil {
					return
				}
			}
		})
	}
}

// answer is nil for what is no question.
func (r *Resolver) answer(network string, message []byte) []byte {
	var parser dnsmessage.Parser
	header, err := parser.Start(message)
	if err != nil || header.Response {
		return nil
	}
	question, err := parser.Question()
	if err != nil {
		return refusal(header, nil, dnsmessage.RCodeFormatError)
	}
	if !strings.HasSuffix("."+strings.ToLower(question.Name.String()), r.domain) {
		return refusal(header, &question, dnsmessage.RCodeRefused)
	}
	answer, err := r.ask(network, message)
	if err != nil {
		if r.ctx.Err() == nil {
			r.config.Log.Warn("a DNS question is not answered", "question", question.Name.String(), "error", err.Error())
		}
		return refusal(header, &question, dnsmessage.RCodeServerFailure)
	}
	return answer
}

// ask returns the first answer that is not a server's own failure.
func (r *Resolver) ask(network string, message []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(r.ctx, answerLimit)
	defer cancel()
	type outcome struct {
		answer []byte
		err    error
	}
	outcomes := make(chan outcome, len(r.config.Servers))
	for _, server := range r.config.Servers {
		r.busy.Go(func() {
			answer, err := askOne(ctx, network, server, message)
			outcomes <- outcome{answer, err}
		})
	}
	var denial []byte
	var late <-chan time.Time
	faults := []error{}
	for range r.config.Servers {
		select {
		case one := <-outcomes:
			switch {
			case one.err != nil:
				faults = append(faults, one.err)
			case !denies(one.answer):
				return one.answer, nil
			case denial == nil:
				denial, late = one.answer, time.After(denialLimit)
			}
		case <-late:
			return denial, nil
		}
	}
	if denial != nil {
		return denial, nil
	}
	return nil, errors.Join(append(faults, errors.New("no server has answered"))...)
}

// denies tells whether an answer says that there is nothing.
func denies(answer []byte) bool {
	const codeAt, answersAt = 3, 6 // RFC 1035, 4.1.1
	return answer[codeAt]&0xf != 0 || binary.BigEndian.Uint16(answer[answersAt:]) == 0
}

// askOne asks under an identity of its own: who guesses the client's cannot
// slip in an answer.
func askOne(ctx context.Context, network, server string, message []byte) ([]byte, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	asked := append([]byte(nil), message...)
	rand.Read(asked[:2]) // never fails, by its documentation
	answer, err := exchange(conn, network, asked)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", server, err)
	}
	var parser dnsmessage.Parser
	header, err := parser.Start(answer)
	if err != nil || !header.Response || header.ID != binary.BigEndian.Uint16(asked) {
		return nil, fmt.Errorf("ask %s: this is no answer to the question", server)
	}
	if header.RCode != dnsmessage.RCodeSuccess && header.RCode != dnsmessage.RCodeNameError {
		return nil, fmt.Errorf("ask %s: %s", server, header.RCode)
	}
	copy(answer[:2], message[:2])
	return answer, nil
}

func exchange(conn net.Conn, network string, message []byte) ([]byte, error) {
	if network == "tcp" {
		if err := writeMessage(conn, message); err != nil {
			return nil, err
		}
		return readMessage(conn)
	}
	if _, err := conn.Write(message); err != nil {
		return nil, err
	}
	buffer := make([]byte, maxMessage)
	n, err := conn.Read(buffer)
	return buffer[:n], err
}

func readMessage(from io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(from, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(from, message)
	return message, err
}

func writeMessage(to io.Writer, message []byte) error {
	if len(message) > maxMessage {
		return errors.New("the message is too long")
	}
	_, err := to.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
	return err
}

// refusal answers a question with a code only.
func refusal(header dnsmessage.Header, question *dnsmessage.Question, code dnsmessage.RCode) []byte {
	message := dnsmessage.Message{Header: dnsmessage.Header{
		ID: header.ID, Response: true, OpCode: header.OpCode, RecursionDesired: header.RecursionDesired, RCode: code,
	}}
	if question != nil {
		message.Questions = []dnsmessage.Question{*question}
	}
	packed, err := message.Pack()
	if err != nil {
		return nil
	}
	return packed
}
