// Package fleet is the model on which this project's own experiments are made, and
// those experiments: equal nodes behind one name, clients that call them, and what
// must hold when a part of the nodes fails or all of them are overloaded.
//
// It is no simulator of networks or machines. A node is a line of calls and a few
// workers, which is enough to show what the experiments are about: that the rest makes
// up for the failures of a part, and that an overload feeds itself. It runs in virtual and
// in real time alike.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/steady-go/steady"
)

// A Size is what the nodes of a fleet are like.
type Size struct {
	Nodes   int
	Workers int           // of each node
	Mean    time.Duration // of the service times, which are lognormal
	Sigma   float64       // of their logarithm

	// MaxWait bounds how long a call waits in a node's line, by a bulkhead of the
	// node's own. 0 means that nothing bounds it.
	MaxWait time.Duration
}

// Capacity returns how many calls a second the fleet can work off.
func (s Size) Capacity() float64 { return float64(s.Nodes*s.Workers) / s.Mean.Seconds() }

// A Host runs what outlives the calls that have begun it, and tells when it must
// stop. A lab.World is one.
type Host interface {
	Context() context.Context
	Go(f func())
}

// A Fleet is equal nodes. It may be used by several goroutines at once.
type Fleet struct {
	size   Size
	host   Host
	names  []string
	nodes  map[string]*node
	around func(node string) steady.Policy // nil: nothing
}

// New returns a fleet that has nothing to do yet. around is what to put around the work
// of a node, inside its server, such as faults; nil means nothing. Without a MaxWait host
// may be nil.
func New(size Size, host Host, around func(node string) steady.Policy) *Fleet {
	f := &Fleet{size: size, host: host, names: Names(size.Nodes), nodes: make(map[string]*node, size.Nodes), around: around}
	for _, name := range f.names {
		f.nodes[name] = newNode(size)
	}
	return f
}

// Names returns the names of the first n nodes.
func Names(n int) []string {
	names := make([]string, n)
	for i := range n {
		names[i] = fmt.Sprintf("node-%d", i)
	}
	return names
}

// ErrOverloaded is the answer of a node whose bulkhead has refused a call. For its
// client it is a failure like others, and no rejection: the call went over the wire.
var ErrOverloaded = errors.New("fleet: the node is overloaded")

// Call makes one call to a node. It returns when that has answered, or when ctx is
// done, of which the node does not hear: it finishes what it was given.
//
// The service time depends on the source that ctx carries and on the attempt alone, not
// on the node: what a call costs is the same wherever it goes, and whenever.
func (f *Fleet) Call(ctx context.Context, name string) (err error) {
	defer func() { // as the server of net/http does
		if v := recover(); v != nil {
			err = fmt.Errorf("fleet: the node panicked: %v", v)
		}
	}()
	if f.around == nil {
		return f.work(ctx, name)
	}
	return f.around(name).Do(ctx, func(ctx context.Context) error { return f.work(ctx, name) })
}

func (f *Fleet) work(ctx context.Context, name string) error {
	n := f.nodes[name]
	service := time.Duration(float64(f.serviceTime(ctx)) * n.slowness())
	if n.bulkhead == nil {
		return sleep(ctx, n.queue(service))
	}
	return n.admit(ctx, f.host, service)
}

// serviceTime draws the service time of an attempt, by Box and Muller (1958).
func (f *Fleet) serviceTime(ctx context.Context) time.Duration {
	n := 2 * uint64(steady.Attempt(ctx))
	u, v := steady.Random(ctx, "fleet.service", n), steady.Random(ctx, "fleet.service", n+1)
	normal := math.Sqrt(-2*math.Log1p(-u)) * math.Cos(2*math.Pi*v)
	s := f.size.Sigma
	return time.Duration(float64(f.size.Mean) * math.Exp(s*normal-s*s/2))
}

// Slow makes the work that a node is given from now on take so many times as long.
func (f *Fleet) Slow(name string, times float64) { f.nodes[name].slow(times) }

// Stall keeps the workers of a node that has no bulkhead from taking on work for d.
func (f *Fleet) Stall(name string, d time.Duration) { f.nodes[name].stall(d) }

// Wait returns how long a call would wait now in the longest line of all nodes. In the
// lines of bulkheads it is not known, and counts as 0.
func (f *Fleet) Wait() time.Duration {
	var longest time.Duration
	for _, n := range f.nodes {
		longest = max(longest, n.wait())
	}
	return longest
}
