package chaos_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/steadytest"
)

// tcp returns both ends of a connection over the loopback interface.
func tcp(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	client, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	server, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close(); _ = server.Close() })
	require.NoError(t, client.SetDeadline(time.Now().Add(time.Minute)))
	require.NoError(t, server.SetDeadline(time.Now().Add(time.Minute)))
	return client, server
}

// requireReset checks that err is an injected reset, in the form of package net.
func requireReset(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.ErrorIs(t, err, chaos.ErrInjected)
	_, ok := errors.AsType[*net.OpError](err)
	require.True(t, ok)
}

func requireTimeout(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.ErrorIs(t, err, chaos.ErrInjected)
	timeout, ok := errors.AsType[net.Error](err)
	require.True(t, ok && timeout.Timeout())
}

func TestListenerRefusesByAReset(t *testing.T) {
	var r steadytest.Recorder
	i := armed(t, chaos.Config{Name: "net", Hook: &r, Faults: []chaos.Fault{{Name: "refused", Effect: chaos.Refuse(), Rate: 1, Keys: []string{"n1"}, Max: 3}}}, time.Hour)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := i.Listener(inner, "n1")
	t.Cleanup(func() { _ = l.Close() })
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
		close(accepted)
	}()
	for range 3 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err == nil { // otherwise the reset was faster than the return of Dial
			_, err = c.Read(make([]byte, 1))
			require.NoError(t, c.Close())
		}
		require.ErrorIs(t, err, syscall.ECONNRESET, "a real RST")
	}
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	server := <-accepted
	_, err = io.WriteString(server, "x")
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, server.Close())
	all := r.Events(steady.KindInjected)
	require.Len(t, all, 3)
	require.Equal(t, "refuse", all[0].To)
	require.Equal(t, "n1", all[0].Key)
	require.ErrorIs(t, all[0].Err, syscall.ECONNREFUSED)

	require.NoError(t, l.Close())
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestConnIsTransparentUntilArmed(t *testing.T) {
	i := chaos.MustNew(chaos.Config{Faults: []chaos.Fault{{Name: "reset", Effect: chaos.Reset(1), Rate: 1}}})
	client, server := tcp(t)
	c := i.Conn(client, "n1")
	require.Equal(t, client.LocalAddr(), c.LocalAddr())
	require.Same(t, client, c.(interface{ NetConn() net.Conn }).NetConn())
	for range 3 {
		_, err := io.WriteString(c, "ping")
		require.NoError(t, err)
		b := make([]byte, 4)
		_, err = io.ReadFull(server, b)
		require.NoError(t, err)
		_, err = server.Write(b)
		require.NoError(t, err)
		_, err = io.ReadFull(c, b)
		require.NoError(t, err)
		require.Equal(t, "ping", string(b))
	}
	require.NoError(t, i.Arm(time.Hour))
	_, err := io.WriteString(c, "ping")
	requireReset(t, err)
}

func TestConnIsResetAfterThatManyBytesInBothDirections(t *testing.T) {
	var r steadytest.Recorder
	i := armed(t, chaos.Config{Hook: &r, Faults: []chaos.Fault{{Name: "reset", Effect: chaos.Reset(10), Rate: 1}}}, time.Hour)
	r.Reset()
	client, server := tcp(t)
	c := i.Conn(client, "n1")
	n, err := io.WriteString(c, "1234")
	require.NoError(t, err)
	require.Equal(t, 4, n)
	b := make([]byte, 10)
	_, err = io.ReadFull(server, b[:4])
	require.NoError(t, err)
	_, err = io.WriteString(server, "123")
	require.NoError(t, err)
	_, err = io.ReadFull(c, b[:3])
	require.NoError(t, err)
	require.Empty(t, r.Events(), "not before it happens")

	n, err = io.WriteString(c, "12345")
	requireReset(t, err)
	require.Equal(t, 3, n)
	_, err = c.Read(b)
	requireReset(t, err)
	_, err = c.Write(b)
	requireReset(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
	_, err = io.Copy(io.Discard, server)
	require.ErrorIs(t, err, syscall.ECONNRESET, "a real RST")

	all := r.Events()
	require.Len(t, all, 1)
	requireReset(t, &net.OpError{Err: all[0].Err})
	all[0].Err = nil
	require.Equal(t, steady.Event{Kind: steady.KindInjected, Policy: "chaos", Key: "n1", Reason: "reset", To: "reset"}, all[0])
}

func TestConnIsResetUnderAReadThatWaits(t *testing.T) {
	i := injector(t, chaos.Fault{Name: "reset", Effect: chaos.Reset(4), Rate: 1})
	client, server := tcp(t)
	c := i.Conn(client, "")
	waited := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		waited <- err
	}()
	_, err := io.WriteString(c, "1234")
	require.NoError(t, err, "all were written")
	requireReset(t, <-waited)
	_, err = io.Copy(io.Discard, server)
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestConnIsNotResetMoreThanMaxTimes(t *testing.T) {
	i := injector(t, chaos.Fault{Name: "reset", Effect: chaos.Reset(1), Rate: 1, Max: 1})
	first, _ := tcp(t)
	second, server := tcp(t)
	a, b := i.Conn(first, ""), i.Conn(second, "")
	go func() { _, _ = io.WriteString(server, "x") }()
	_, err := b.Read(make([]byte, 0)) // draws before Max is used up
	require.NoError(t, err)
	_, err = io.WriteString(a, "xx")
	requireReset(t, err)
	n, err := io.WriteString(b, "xxxx")
	require.NoError(t, err)
	require.Equal(t, 4, n)
}

// A tls.Conn has no linger to set: the reset goes to what is below.
func TestConnResetsATLSConnectionBelow(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that is cut off
	s.StartTLS()
	t.Cleanup(s.Close)
	raw, err := net.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	below := &lingering{TCPConn: raw.(*net.TCPConn), linger: -1}
	config := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "example.com"
	c := injector(t, chaos.Fault{Name: "reset", Effect: chaos.Reset(1), Rate: 1}).Conn(tls.Client(below, config), "")
	n, err := io.WriteString(c, "GET /")
	requireReset(t, err)
	require.Equal(t, 1, n)
	require.Zero(t, below.linger)
}

// lingering is a TCP connection that notes what linger was set.
type lingering struct {
	*net.TCPConn
	linger int
}

func (l *lingering) SetLinger(sec int) error { l.linger = sec; return l.TCPConn.SetLinger(sec) }

// A server whose connections are disturbed, end to end.
func TestHTTPServerBehindADisturbedListener(t *testing.T) {
	i := injector(t,
		chaos.Fault{Name: "refused", Effect: chaos.Refuse(), Rate: 0.3},
		chaos.Fault{Name: "reset", Effect: chaos.Reset(100), Rate: 0.5},
	)
	s := httptest.NewUnstartedServer(http.HandlerFunc(hello))
	s.Listener = i.Listener(s.Listener, "")
	s.Start()
	defer s.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	ok, bad := 0, 0
	for range 100 {
		resp, err := client.Get(s.URL)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			require.NoError(t, resp.Body.Close())
		}
		if err == nil {
			ok++
		} else {
			bad++
		}
	}
	require.InDelta(t, 35, ok, 25)
	i.Disarm()
	for range 10 {
		resp, err := client.Get(s.URL)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
}

func TestWhenOfAConnectionGetsTheBackground(t *testing.T) {
	i := injector(t, chaos.Fault{Name: "reset", Effect: chaos.Reset(1), Rate: 1, When: func(ctx context.Context) bool { return ctx == context.Background() }})
	client, _ := tcp(t)
	_, err := io.WriteString(i.Conn(client, ""), "xx")
	requireReset(t, err)
}
