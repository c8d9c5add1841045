package deploy_test

import (
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/steadyotel"
)

var errBoom = errors.New("boom")

// A world is where the policies of a scenario live: what they report goes through OpenTelemetry
// and its exporter to a registry of its own.
type world struct {
	t        *testing.T
	hook     steady.Hook
	registry *prometheus.Registry
	began    time.Time
	failing  atomic.Bool
	calls    atomic.Int64 // that a scenario has counted
	requests request      // so far
}

// A system is what a scenario builds: policies, and what is asked of them.
type system struct {
	every      time.Duration               // from one call to the next; 0 means no calls
	call       func(context.Context) error // each on a goroutine of its own
	fail, heal func()                      // what happens besides when the failing phase begins and ends; may be nil
}

// steadily fails one call in n while the world is healthy, and one in m while it is failing; 0
// means none.
func (w *world) steadily(n, m int64) func(context.Context) error {
	return func(context.Context) error {
		one := n
		if w.failing.Load() {
			one = m
		}
		if nth := w.calls.Add(1); one > 0 && nth%one == 0 {
			return errBoom
		}
		return nil
	}
}

// outage fails all calls while the world is failing.
func (w *world) outage(context.Context) error {
	if w.failing.Load() {
		return errBoom
	}
	return nil
}

// phases are how long a scenario is healthy, then failing, then healthy again.
type phases struct{ before, failing, after time.Duration }

func (p phases) sum() time.Duration { return p.before + p.failing + p.after }

// live lets a system go through its phases in virtual time, and returns what a Prometheus that
// scrapes it so often would have got.
func live(t *testing.T, build func(*world) system, p phases, scrape time.Duration) (r recording) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, registry: prometheus.NewRegistry(), began: time.Now()}
		exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(w.registry))
		require.NoError(t, err)
		meters := metric.NewMeterProvider(metric.WithReader(exporter))
		w.hook = steadyotel.MustNew(steadyotel.Config{MeterProvider: meters})
		s := build(w)

		var running sync.WaitGroup
		running.Go(func() { r = w.scrape(scrape, p.sum()) })
		// A moment aside, so that a scrape comes neither with a call nor with a change of phase.
		time.Sleep(time.Millisecond)
		w.pass(&running, s, p.before)
		w.failing.Store(true)
		happen(s.fail)
		w.pass(&running, s, p.failing)
		w.failing.Store(false)
		happen(s.heal)
		w.pass(&running, s, p.after)
		running.Wait()
		runtime.KeepAlive(s) // the hook does not keep policies alive
		require.NoError(t, meters.Shutdown(context.Background()))
	})
	return r
}

func happen(what func()) {
	if what != nil {
		what()
	}
}

// pass lets d go by under load.
func (w *world) pass(running *sync.WaitGroup, s system, d time.Duration) {
	if s.every == 0 {
		time.Sleep(d)
		return
	}
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(s.every) {
		w.requests++
		ctx := steady.ContextWithSource(context.Background(), w.requests) // so that a scenario is the same each time
		running.Go(func() { _ = s.call(ctx) })
	}
}

// A request is a source of draws that are its own, and the same each time.
type request uint64

func (r request) Float64(key string, n uint64) float64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	return rand.New(rand.NewPCG(uint64(r), h.Sum64()+n)).Float64()
}
