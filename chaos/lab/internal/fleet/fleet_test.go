package fleet_test

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos/lab/internal/fleet"
)

// A host waits for what it runs when the test ends.
type host struct {
	ctx  context.Context
	goes sync.WaitGroup
}

func newHost(t *testing.T) *host {
	ctx, cancel := context.WithCancel(context.Background())
	h := &host{ctx: ctx}
	t.Cleanup(func() { cancel(); h.goes.Wait() })
	return h
}

func (h *host) Context() context.Context { return h.ctx }
func (h *host) Go(f func())              { h.goes.Go(f) }

// A source draws for one request, by FNV-1a and the finalizer of SplitMix64.
type source uint64

func (s source) Float64(key string, n uint64) float64 {
	h := uint64(s)*0x9e3779b97f4a7c15 ^ n
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 0x100000001b3
	}
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return float64((h^h>>31)>>11) / (1 << 53)
}

func ofRequest(ctx context.Context, n int) context.Context {
	return steady.ContextWithSource(ctx, source(n))
}

var (
	first = fleet.Names(1)[0]
	tens  = fleet.Size{Nodes: 1, Workers: 2, Mean: 10 * time.Millisecond} // always 10 ms
)

// within returns a call's error, and how long it took.
func within(ctx context.Context, f *fleet.Fleet, limit time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	begin := time.Now()
	err := f.Call(ctx, first)
	return time.Since(begin), err
}

func TestANodeWorksOffItsLineInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fleet.New(tens, nil, nil)
		var took [5]time.Duration
		var calls sync.WaitGroup
		for i := range took {
			calls.Go(func() { took[i], _ = within(t.Context(), f, time.Hour) })
			synctest.Wait()
		}
		calls.Wait()
		const ms = time.Millisecond
		require.Equal(t, [5]time.Duration{10 * ms, 10 * ms, 20 * ms, 20 * ms, 30 * ms}, took)
	})
}

func TestANodeFinishesWhatNobodyWaitsFor(t *testing.T) {
	for name, size := range map[string]fleet.Size{
		"line":     tens,
		"bulkhead": {Nodes: 1, Workers: 2, Mean: 10 * time.Millisecond, MaxWait: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := fleet.New(size, newHost(t), nil)
				for range 20 {
					took, err := within(t.Context(), f, time.Nanosecond)
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.Equal(t, time.Nanosecond, took)
				}
				took, err := within(t.Context(), f, time.Hour)
				require.NoError(t, err)
				require.Equal(t, 110*time.Millisecond, took.Round(time.Millisecond), "eleven turns of two workers")
			})
		})
	}
}

func TestABulkheadBoundsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		size := tens
		size.MaxWait = 25 * time.Millisecond
		f := fleet.New(size, newHost(t), nil)
		var answered, refused atomic.Int64
		var calls sync.WaitGroup
		for range 20 {
			calls.Go(func() {
				took, err := within(t.Context(), f, time.Hour)
				if err == nil {
					answered.Add(1)
					return
				}
				refused.Add(1)
				require.ErrorIs(t, err, fleet.ErrOverloaded)
				_, ok := steady.AsRejection(err)
				require.False(t, ok, "what a server answers is no rejection")
				require.Equal(t, size.MaxWait, took)
			})
		}
		calls.Wait()
		require.EqualValues(t, 6, answered.Load(), "of two workers, three turns begin within 25 ms")
		require.EqualValues(t, 14, refused.Load())
	})
}

// The mean wait in a line with random arrivals and one worker is that of Pollaczek and
// Khinchine: ρ/(1-ρ) · (1+c²)/2 service times, where c² = exp(σ²)-1 for lognormal ones.
func TestTheLineObeysTheLawOfQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			calls = 200_000
			mean  = 10 * time.Millisecond
			sigma = 0.5
			load  = 0.7
		)
		f := fleet.New(fleet.Size{Nodes: 1, Workers: 1, Mean: mean, Sigma: sigma}, nil, nil)
		var waited time.Duration
		for i := range calls {
			ctx := ofRequest(t.Context(), i)
			time.Sleep(time.Duration(-math.Log1p(-steady.Random(ctx, "arrival", 0)) * float64(mean) / load))
			waited += f.Wait()
			_, _ = within(ctx, f, time.Nanosecond)
		}
		law := load / (1 - load) * math.Exp(sigma*sigma) / 2 * mean.Seconds()
		require.InEpsilon(t, law, waited.Seconds()/calls, 0.05)
	})
}

func TestAFleetWorksAtItsCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		size := fleet.Size{Nodes: 10, Workers: 2, Mean: 70 * time.Millisecond, Sigma: 0.3}
		require.InDelta(t, 286, size.Capacity(), 0.5)
		f := fleet.New(size, nil, nil)
		var calls sync.WaitGroup
		begin := time.Now()
		for i := range 2860 {
			calls.Go(func() { _ = f.Call(ofRequest(t.Context(), i), fleet.Names(10)[i%10]) })
		}
		calls.Wait()
		require.InDelta(t, 10, time.Since(begin).Seconds(), 0.5, "ten seconds' worth of work")
	})
}

func TestServiceTimesDependOnRequestAndAttemptAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		size := fleet.Size{Nodes: 2, Workers: 100, Mean: 70 * time.Millisecond, Sigma: 0.3}
		f := fleet.New(size, nil, nil)
		took := func(request, attempt, node int) time.Duration {
			ctx := steady.ContextWithAttempt(ofRequest(t.Context(), request), attempt)
			begin := time.Now()
			require.NoError(t, f.Call(ctx, fleet.Names(2)[node]))
			return time.Since(begin)
		}
		once := took(1, 1, 0)
		require.NotEqual(t, once, took(2, 1, 0))
		require.NotEqual(t, once, took(1, 2, 0))
		require.Equal(t, once, took(1, 1, 1), "in another order, at another node")
	})
}

func TestSlowAndStalledNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fleet.New(tens, nil, nil)
		f.Slow(first, 20)
		took, _ := within(t.Context(), f, time.Hour)
		require.Equal(t, 200*time.Millisecond, took)
		f.Slow(first, 1)
		f.Stall(first, time.Second)
		require.Equal(t, time.Second, f.Wait())
		took, _ = within(t.Context(), f, time.Hour)
		require.Equal(t, time.Second+10*time.Millisecond, took)
		require.Zero(t, f.Wait())
	})
}

func TestAServerTurnsAPanicIntoAnError(t *testing.T) {
	f := fleet.New(tens, nil, func(string) steady.Policy { return panicking{} })
	require.ErrorContains(t, f.Call(t.Context(), first), "the node panicked: boom")
}

type panicking struct{}

func (panicking) Do(context.Context, func(context.Context) error) error { panic("boom") }

func TestAttemptsGoToOtherNodes(t *testing.T) {
	for name, g := range map[string]fleet.Guard{
		"picked by breakers": fleet.Library(3, time.Second),
		"picked at random":   fleet.Unbounded(3, time.Second),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var seen []string
				f := fleet.New(fleet.Size{Nodes: 3, Workers: 1, Mean: time.Millisecond}, nil, func(node string) steady.Policy {
					return noting{node, &seen}
				})
				require.Error(t, f.Client(g).Do(ofRequest(t.Context(), 1)))
				slices.Sort(seen)
				require.Equal(t, fleet.Names(3), seen)
			})
		})
	}
}

type noting struct {
	node string
	seen *[]string
}

func (n noting) Do(context.Context, func(context.Context) error) error {
	*n.seen = append(*n.seen, n.node)
	return context.DeadlineExceeded
}
