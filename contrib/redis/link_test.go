package steadyredis_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A link is a way to a server on which what is sent can be held up. It arrives later all the same, though who has sent
// it may have given up long ago.
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

// serve carries one connection, until its client has left, and nothing of it is held up.
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
		if n > 0 && !k.keep(parcel{server, bytes.Clone(buffer[:n]), answered}) {
			_, _ = server.Write(buffer[:n])
		}
		if err != nil {
			if !k.keeps(server) {
				_ = server.CloseWrite()
			}
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

// keeps reports whether anything is held up for a connection to the server.
func (k *link) keeps(server *net.TCPConn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.held {
		if p.server == server {
			return true
		}
	}
	return false
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
