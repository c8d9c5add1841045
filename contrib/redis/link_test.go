package steadyredis_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A link is a way to a server on which what is sent can be held up. Who sends it is cut off, and gives it
// up, but it arrives all the same, later.
type link struct {
	address string
	to      string
	wg      sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	held    []parcel
}

// A parcel is what was sent on one connection in one piece.
type parcel struct {
	server   *net.TCPConn
	bytes    []byte
	answered <-chan struct{}
}

func newLink(t *testing.T, to string) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	k := &link{address: l.Addr().String(), to: to}
	t.Cleanup(func() {
		_ = l.Close()
		k.goOn()
		k.wg.Wait()
	})
	k.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			k.wg.Go(func() { k.serve(client) })
		}
	})
	return k
}

// serve carries one connection, until its client has left, or what it sent is held up and has arrived.
func (k *link) serve(client net.Conn) {
	defer client.Close()
	c, err := net.Dial("tcp", k.to)
	if err != nil {
		return
	}
	server := c.(*net.TCPConn)
	defer server.Close()
	answered := make(chan struct{}) // all, or one that nobody takes
	go func() {
		defer close(answered)
		_, _ = io.Copy(client, server)
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if n > 0 && k.keep(parcel{server, bytes.Clone(buffer[:n]), answered}) {
			_ = client.Close()
			<-answered
			return
		}
		_, _ = server.Write(buffer[:n])
		if err != nil {
			_ = server.CloseWrite()
			<-answered
			return
		}
	}
}

// keep holds up what was sent, and reports false if that may go on at once.
func (k *link) keep(p parcel) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		k.held = append(k.held, p)
	}
	return k.stopped
}

// stop holds up what is sent from now on.
func (k *link) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
}

// goOn delivers what was held up, waits until that is done, and returns how much it was.
func (k *link) goOn() int {
	k.mu.Lock()
	held := k.held
	k.held, k.stopped = nil, false
	k.mu.Unlock()
	for _, p := range held {
		_, _ = p.server.Write(p.bytes)
		_ = p.server.CloseWrite()
		<-p.answered
	}
	return len(held)
}
