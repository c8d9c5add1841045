package chaos_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/steadytest"
)

// A web is a server on the loopback interface, and a client that reaches it through an
// injector. It has one connection: a response whose body is not closed would keep all
// further requests waiting.
type web struct {
	*httptest.Server
	ctx      context.Context // of all requests: to end it would free the connection
	client   *http.Client
	injector *chaos.Injector
	hook     steadytest.Recorder
	served   atomic.Int64
}

func newWeb(t *testing.T, serve http.HandlerFunc, faults ...chaos.Fault) *web {
	t.Helper()
	w := &web{}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.served.Add(1)
		serve(rw, r)
	}))
	t.Cleanup(w.Close)
	w.injector = armed(t, chaos.Config{Name: "web", Faults: faults, Hook: &w.hook}, time.Hour)
	w.hook.Reset()
	w.client = &http.Client{
		Transport: w.injector.RoundTripper(&http.Transport{MaxConnsPerHost: 1}, func(r *http.Request) string { return r.URL.Path }),
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	w.ctx = ctx
	t.Cleanup(func() { cancel(); w.client.CloseIdleConnections() })
	return w
}

func hello(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "hello, world") }

// get returns the whole body of a response.
func (w *web) get(path string) (string, error) {
	req, err := http.NewRequestWithContext(w.ctx, http.MethodGet, w.URL+path, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// A sent is the body of a request that tells whether it was closed.
type sent struct {
	io.Reader
	closed atomic.Bool
}

func (s *sent) Close() error { s.closed.Store(true); return nil }

func TestHTTPErrorsAreThoseOfATransport(t *testing.T) {
	w := newWeb(t, hello, chaos.Fault{Name: "down", Effect: chaos.Error(syscall.ECONNREFUSED), Rate: 1, Keys: []string{"/down"}})
	_, err := w.get("/down")
	require.ErrorIs(t, err, chaos.ErrInjected)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.Zero(t, w.served.Load())
	all := w.hook.Events()
	require.Len(t, all, 2)
	require.Equal(t, "/down", all[0].Key)
	require.Equal(t, "/down", all[1].Key)
	require.Equal(t, steady.Failure, all[1].Outcome)

	got, err := w.get("/up")
	require.NoError(t, err)
	require.Equal(t, "hello, world", got)
	require.Len(t, w.hook.Events(), 3)
}

func TestHTTPClosesTheRequestsBodyInAnyCase(t *testing.T) {
	for name, e := range map[string]chaos.Effect{
		"error": chaos.Error(nil), "hang": chaos.Hang(), "latency": chaos.Latency(chaos.Constant(time.Hour)),
		"panic": chaos.Panic("boom"), "lost": chaos.LoseReply(nil),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWeb(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) },
				chaos.Fault{Name: name, Effect: e, Rate: 1})
			patience := 20 * time.Millisecond
			if name == "lost" {
				patience = time.Minute
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			body := &sent{Reader: strings.NewReader("payload")}
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, body)
			require.NoError(t, err)
			func() {
				defer func() { _ = recover() }()
				resp, err := w.client.Transport.RoundTrip(req)
				require.Nil(t, resp)
				require.ErrorIs(t, err, chaos.ErrInjected)
			}()
			require.True(t, body.closed.Load())
		})
	}
	t.Run("context done on entry", func(t *testing.T) {
		w := newWeb(t, hello)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		body := &sent{Reader: strings.NewReader("payload")}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, body)
		require.NoError(t, err)
		_, err = w.client.Transport.RoundTrip(req)
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, body.closed.Load())
	})
}

func TestHTTPTimeoutOfTheClientEndsAHang(t *testing.T) {
	w := newWeb(t, hello, chaos.Fault{Name: "hang", Effect: chaos.Hang(), Rate: 1})
	w.client.Timeout = 10 * time.Millisecond
	_, err := w.get("/") // package http shows no more of it than that it was late
	require.ErrorIs(t, err, context.DeadlineExceeded)
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	require.True(t, ok && timeout.Timeout(), "as any client's timeout")
}

// The request was served, and its response must not hold a connection.
func TestHTTPLostReplyRanOnceAndLeaksNoConnection(t *testing.T) {
	w := newWeb(t, hello, chaos.Fault{Name: "lost", Effect: chaos.LoseReply(syscall.ECONNRESET), Rate: 1, Max: 20})
	for range 20 {
		_, err := w.get("/")
		require.ErrorIs(t, err, syscall.ECONNRESET)
	}
	require.EqualValues(t, 20, w.served.Load())
	_, err := w.get("/")
	require.NoError(t, err)
}

func TestHTTPRetriedRequestsLeakNoConnection(t *testing.T) {
	w := newWeb(t, hello,
		chaos.Fault{Name: "lost", Effect: chaos.LoseReply(nil), Rate: 0.3},
		chaos.Fault{Name: "cut", Effect: chaos.CutBody(5), Rate: 0.3},
		chaos.Fault{Name: "down", Effect: chaos.Error(nil), Rate: 0.3},
	)
	again := retry.MustNew(retry.Config{Attempts: 100, Delay: time.Microsecond, MaxDelay: time.Millisecond, Budget: retry.NoBudget})
	for range 50 {
		got, err := steady.DoValue(t.Context(), again, func(context.Context) (string, error) { return w.get("/") })
		require.NoError(t, err)
		require.Equal(t, "hello, world", got)
	}
	injected := w.injector.Stats().Injected
	require.NotZero(t, injected["lost"])
	require.NotZero(t, injected["cut"])
	require.NotZero(t, injected["down"])
}

func TestHTTPNaturalErrorsAndNilNextWork(t *testing.T) {
	w := newWeb(t, hello)
	w.Close()
	_, err := w.get("/")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.NotErrorIs(t, err, chaos.ErrInjected)

	w = newWeb(t, hello)
	client := &http.Client{Transport: w.injector.RoundTripper(nil, nil)}
	resp, err := client.Get(w.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	client.CloseIdleConnections() // the default transport's
}

func TestHTTPUsesTheConfigsKeyWithoutOneOfItsOwn(t *testing.T) {
	w := newWeb(t, hello)
	type node struct{}
	i := armed(t, chaos.Config{
		Key:    func(ctx context.Context) string { s, _ := ctx.Value(node{}).(string); return s },
		Faults: []chaos.Fault{{Name: "down", Effect: chaos.Error(nil), Rate: 1, Keys: []string{"n1"}}},
	}, time.Hour)
	for key, want := range map[string]error{"n1": chaos.ErrInjected, "n2": nil} {
		req, err := http.NewRequestWithContext(context.WithValue(t.Context(), node{}, key), http.MethodGet, w.URL, http.NoBody)
		require.NoError(t, err)
		resp, err := i.RoundTripper(nil, nil).RoundTrip(req)
		require.ErrorIs(t, err, want)
		if err == nil {
			require.NoError(t, resp.Body.Close())
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestHTTPUpgradesStayWhatTheyAre(t *testing.T) {
	serve := func(rw http.ResponseWriter, _ *http.Request) {
		c, rest, err := rw.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
		_, _ = io.CopyN(c, rest, 4)
	}
	w := newWeb(t, serve, chaos.Fault{Name: "cut", Effect: chaos.CutBody(1), Rate: 1})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL, http.NoBody)
	require.NoError(t, err)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := w.client.Transport.RoundTrip(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	both, ok := resp.Body.(io.ReadWriter)
	require.True(t, ok)
	_, err = io.WriteString(both, "ping")
	require.NoError(t, err)
	b := make([]byte, 4)
	_, err = io.ReadFull(both, b)
	require.NoError(t, err)
	require.Equal(t, "ping", string(b))
}

// upgraded is a connection that was upgraded, by a transport that does not know the
// length of its body.
type upgraded struct{ io.ReadWriteCloser }

func (u upgraded) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusSwitchingProtocols, ContentLength: -1, Body: u}, nil
}

func TestHTTPUpgradesStayWhatTheyAreWhateverTheirLength(t *testing.T) {
	i := injector(t, chaos.Fault{Name: "cut", Effect: chaos.CutBody(1), Rate: 1})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://up.test/", http.NoBody)
	require.NoError(t, err)
	a, b := net.Pipe()
	defer func() { _ = a.Close(); _ = b.Close() }()
	resp, err := i.RoundTripper(upgraded{a}, nil).RoundTrip(req)
	require.NoError(t, err)
	require.Equal(t, upgraded{a}, resp.Body)
	require.NoError(t, resp.Body.Close())
}
