package chaos_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
)

// chunked answers without a Content-Length.
func chunked(rw http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(rw, "hello, ")
	rw.(http.Flusher).Flush()
	_, _ = io.WriteString(rw, "world")
}

func TestHTTPCutBodyEndsEarlyWithAnError(t *testing.T) {
	for name, serve := range map[string]http.HandlerFunc{"with a length": hello, "chunked": chunked} {
		t.Run(name, func(t *testing.T) {
			w := newWeb(t, serve, chaos.Fault{Name: "cut", Effect: chaos.CutBody(5), Rate: 1})
			for range 3 {
				w.hook.Reset()
				got, err := w.get("/p")
				require.Equal(t, "hello", got)
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
				require.ErrorIs(t, err, chaos.ErrInjected)
				all := w.hook.Events()
				require.Len(t, all, 2)
				require.Equal(t, "cut body", all[0].To)
				require.Equal(t, steady.Success, all[1].Outcome, "the response came")
			}
		})
	}
}

func TestHTTPBodyEffectsLeaveAloneWhatHasNoBodyToSpoil(t *testing.T) {
	serve := func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/none" {
			rw.WriteHeader(http.StatusNoContent)
			return
		}
		hello(rw, r)
	}
	w := newWeb(t, serve,
		chaos.Fault{Name: "cut", Effect: chaos.CutBody(12), Rate: 1, Keys: []string{"/short"}},
		chaos.Fault{Name: "slow", Effect: chaos.SlowBody(1), Rate: 1, Keys: []string{"/none", "/head"}},
	)
	got, err := w.get("/short")
	require.NoError(t, err)
	require.Equal(t, "hello, world", got)
	_, err = w.get("/none")
	require.NoError(t, err)
	resp, err := w.client.Head(w.URL + "/head")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, map[string]uint64{"cut": 0, "slow": 0}, w.injector.Stats().Injected)
}

// canned answers every request with a body of its own, without a socket, so that virtual time
// may pass.
type canned struct{ size int }

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, ContentLength: int64(c.size), Body: io.NopCloser(strings.NewReader(strings.Repeat("x", c.size))),
	}, nil
}

// fetch asks for a body of 10,000 bytes that drips at 100 a second.
func fetch(ctx context.Context, t *testing.T, i *chaos.Injector) io.ReadCloser {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://slow.test/", http.NoBody)
	require.NoError(t, err)
	resp, err := i.RoundTripper(canned{10_000}, nil).RoundTrip(req)
	require.NoError(t, err)
	return resp.Body
}

var slowly = chaos.Fault{Name: "slow", Effect: chaos.SlowBody(100), Rate: 1}

func TestSlowBodyDripsEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := fetch(t.Context(), t, injector(t, slowly))
		start := time.Now()
		b := make([]byte, 1000)
		for second := range 10 {
			_, err := io.ReadFull(body, b[:100])
			require.NoError(t, err)
			require.InDelta(t, second+1, time.Since(start).Seconds(), 0.001)
		}
		rest, err := io.ReadAll(body)
		require.NoError(t, err)
		require.Len(t, rest, 9000)
		require.InDelta(t, 100, time.Since(start).Seconds(), 0.001)
		require.NoError(t, body.Close())
	})
}

func TestSlowBodyEndsWithThePlanTheContextAndClose(t *testing.T) {
	read := func(t *testing.T, body io.Reader) (n int, took time.Duration, err error) {
		start := time.Now()
		all, err := io.ReadAll(body)
		return len(all), time.Since(start), err
	}
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, slowly)
		body := fetch(t.Context(), t, i)
		time.AfterFunc(10*time.Second, i.Disarm)
		n, took, err := read(t, body)
		require.NoError(t, err)
		require.Equal(t, 10_000, n, "the rest comes at once")
		require.Equal(t, 10*time.Second, took)
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second-time.Millisecond, errNatural)
		defer cancel()
		_, took, err := read(t, fetch(ctx, t, injector(t, slowly)))
		require.ErrorIs(t, err, chaos.ErrInjected)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, errNatural)
		require.Equal(t, 10*time.Second-time.Millisecond, took)
	})
	synctest.Test(t, func(t *testing.T) {
		body := fetch(t.Context(), t, injector(t, chaos.Fault{Name: "slow", Effect: chaos.SlowBody(1), Rate: 1}))
		time.AfterFunc(time.Millisecond, func() { _ = body.Close(); _ = body.Close() })
		_, took, err := read(t, body)
		require.ErrorIs(t, err, http.ErrBodyReadAfterClose)
		require.Equal(t, time.Millisecond, took)
	})
}

func TestCutBodyIsNotCutAfterThePlansEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, chaos.Fault{Name: "cut", Effect: chaos.CutBody(5), Rate: 1})
		body := fetch(t.Context(), t, i)
		i.Disarm()
		b, err := io.ReadAll(body)
		require.NoError(t, err)
		require.Len(t, b, 10_000)
	})
}

// A body that somebody stops reading must not keep its server's connection.
func TestHTTPSlowBodyOverARealConnectionCanBeClosed(t *testing.T) {
	w := newWeb(t, hello, chaos.Fault{Name: "slow", Effect: chaos.SlowBody(1), Rate: 1, Max: 1})
	resp, err := w.client.Get(w.URL)
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Error("a closed body was read to its end")
		}
	})
	require.NoError(t, resp.Body.Close())
	wg.Wait()
	got, err := w.get("/")
	require.NoError(t, err)
	require.Equal(t, "hello, world", got)
}
