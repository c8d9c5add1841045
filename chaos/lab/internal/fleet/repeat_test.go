package fleet_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos/lab"
	"github.com/steady-go/steady/chaos/lab/internal/fleet"
)

// runOf runs e once, in a bubble.
func runOf(t *testing.T, e lab.Experiment) (r lab.Report) {
	synctest.Test(t, func(t *testing.T) {
		var err error
		r, err = e.Run(t.Context())
		require.NoError(t, err)
	})
	return r
}

// outcomes is what became of runs of one seed.
type outcomes struct {
	reports   map[string]int
	verdicts  map[lab.Verdict]int
	low, high float64 // availability of the system in the fault
}

func (o outcomes) String() string { return fmt.Sprint(len(o.reports)) }

// repeat runs e so many times on so many processors; 0 means those that there are.
func repeat(t *testing.T, e lab.Experiment, runs, processors int) outcomes {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
	o := outcomes{map[string]int{}, map[lab.Verdict]int{}, 1, 0}
	for range runs {
		r := runOf(t, e)
		b, err := r.JSON()
		require.NoError(t, err)
		o.reports[string(b)]++
		o.verdicts[r.Verdict]++
		share := fault(t, r.System).Availability
		o.low, o.high = min(o.low, share), max(o.high, share)
	}
	return o
}

// pages is an experiment in which a request asks for four things at once, as a page does
// that is put together from several services. Each part draws by itself.
func pages() lab.Experiment {
	return ofPages(keyed)
}

// sharing is the same with one seeded generator for all requests, in place of keys.
func sharing() lab.Experiment {
	return ofPages(func() func(context.Context, int) steady.Source {
		s := &shared{rng: rand.New(rand.NewPCG(1, 2))}
		return func(context.Context, int) steady.Source { return s }
	})
}

func ofPages(sources func() func(context.Context, int) steady.Source) lab.Experiment {
	e := fleet.PartialFailure(fleet.Hang)
	e.Name = "pages of four parts"
	e.Steady = []lab.Probe{lab.Availability(0.9990)}
	e.Fault = 15 * time.Second
	e.System, e.Control = inParts(e.System, sources), nil
	return e
}

// inParts makes four requests of each, at once but for some nanoseconds: of parts that
// hang, the timeouts would be due at one instant, in an order that is chance. sources is called
// for each run, and returns where a part draws.
func inParts(b lab.Build, sources func() func(context.Context, int) steady.Source) lab.Build {
	return func(w *lab.World) (lab.Call, error) {
		call, err := b(w)
		source := sources()
		return func(ctx context.Context, r lab.Request) error {
			var errs [4]error // by place: which of those that hang is released first is chance too
			var parts sync.WaitGroup
			for i := range errs {
				ctx := steady.ContextWithSource(ctx, source(ctx, i))
				parts.Go(func() {
					time.Sleep(time.Duration(100*i) + time.Duration(100*steady.Random(ctx, "part", 0)))
					errs[i] = call(ctx, r)
				})
			}
			parts.Wait()
			return cmp.Or(errs[:]...)
		}, err
	}
}

// keyed lets each part draw from the request's source, with keys of its own.
func keyed() func(context.Context, int) steady.Source {
	return func(ctx context.Context, part int) steady.Source { return partSource{ctx, strconv.Itoa(part) + ":"} }
}

type partSource struct {
	request context.Context
	prefix  string
}

func (s partSource) Float64(key string, n uint64) float64 {
	return steady.Random(s.request, s.prefix+key, n)
}

// A shared source is one seeded generator for all requests: which of them gets which
// number depends on the order in which they ask.
type shared struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func (s *shared) Float64(string, uint64) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.Float64()
}
