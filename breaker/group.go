package breaker

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/chain"
	"github.com/steady-go/steady/internal/check"
	"github.com/steady-go/steady/internal/report"
)

// GroupConfig is the configuration of a [Group]. Its zero value is a good default
// for keys that have nothing to do with each other, such as tenants.
type GroupConfig struct {
	// Config is that of each member. Its Name is the name of the group.
	Config

	// MaxKeys bounds the number of members. When a call comes with a new key and
	// the group is full, a member that is closed, has no call in flight and has
	// counted none for a Window makes room. If there is none, which means that more
	// keys are in use than MaxKeys, the call is made without a breaker, and Stats
	// counts it: made-up keys must not push out the history of real ones. 0 means
	// 1024.
	MaxKeys int

	// Peers says that the members are equals behind one name, such as the nodes of
	// a service, to which traffic can go instead. nil means that they are not.
	Peers *Peers
}

// Peers are the rules by which a [Group] of equals opens a member. A plain breaker
// for each node makes an overload worse: as each opens, the others get its load,
// until none is left. With peers a member opens only while the fault is its own.
// Its zero value holds the defaults.
//
// A single key has no peers: with nothing to compare it to and nowhere else to
// go, it stays closed.
type Peers struct {
	// MinSuccess is the share of the calls to all other members, in the Window,
	// that must have succeeded for a member to open, or to open again after its
	// probes failed. Above 0 and at most 1. 0 means 0.7.
	MinSuccess float64

	// MaxOpenShare is the share of the members that had calls in the Window that
	// may be open or half-open at once. One may always be. Above 0 and at most 1. 0
	// means 0.3.
	MaxOpenShare float64
}

// A Group keeps one [Breaker] for each key: a host, a node, a shard, a tenant. It
// makes them as keys come and bounds their number. It may be used by several
// goroutines at once, and needs no closing.
type Group struct {
	cfg     Config
	maxKeys int
	origin  time.Time // clock readings of all members are nanoseconds since then
	report  report.Reporter

	mu      sync.RWMutex
	members map[string]*Breaker // guarded by mu

	surplus    *Breaker // disabled: the breaker of calls for which there is no room
	unguarded  atomic.Uint64
	noneToPick *rejection
	drawKey    string // of Pick's random draws

	peers *peers // nil without Peers
}

// NewGroup returns an empty group, or an error that names every fault of c.
func NewGroup(c GroupConfig) (*Group, error) {
	if c.Peers != nil {
		c.ConsecutiveFailures = cmp.Or(c.ConsecutiveFailures, 5)
	}
	cfg, err := c.Config.withDefaults("breaker: GroupConfig")
	f := check.Config("breaker: GroupConfig")
	f.Join(err)
	c.MaxKeys = cmp.Or(c.MaxKeys, 1024)
	f.Require(c.MaxKeys >= 1, "MaxKeys", "be >= 0", c.MaxKeys)
	p := newPeers(c.Peers, cfg, 0, f)
	if err := f.Err(); err != nil {
		return nil, err
	}
	g := &Group{cfg: cfg, maxKeys: c.MaxKeys, origin: time.Now(), members: make(map[string]*Breaker), peers: p}
	g.report.Init(c.Hook, "breaker", c.Name, "")
	g.drawKey = "breaker.pick:" + c.Name
	g.surplus = newBreaker(cfg, "", g)
	g.surplus.phase.Store(&phase{state: Disabled})
	g.noneToPick = &rejection{breaker: g.surplus, text: "breaker: no candidate to pick from"}
	return g, nil
}

// MustNewGroup is like [NewGroup] but panics on an error.
func MustNewGroup(c GroupConfig) *Group { return check.Must(NewGroup(c)) }

// Do runs call under the breaker of key; see [Breaker.Do].
func (g *Group) Do(ctx context.Context, key string, call func(context.Context) error) error {
	b := g.hold(key)
	defer b.inFlight.Add(-1)
	return b.Do(ctx, call)
}

// By returns a policy that runs each call under the breaker of the key that key
// finds in the call's context.
func (g *Group) By(key func(context.Context) string) steady.Policy { return &keyed{g, key} }

type keyed struct {
	group *Group
	key   func(context.Context) string
}

func (k *keyed) Do(ctx context.Context, call func(context.Context) error) error {
	return k.group.Do(ctx, k.key(ctx), call)
}

func (k *keyed) DoNext(ctx context.Context, next chain.Next) error { return k.Do(ctx, next.Do) }

// Get returns the breaker of key, and makes it if need be: to force its state, or
// to read it. It should not be kept, since the group may drop it when it is idle.
func (g *Group) Get(key string) *Breaker {
	b := g.hold(key)
	b.inFlight.Add(-1)
	return b
}

// hold returns the breaker of key with one more call in flight, so that it stays
// until the caller takes that back.
func (g *Group) hold(key string) *Breaker {
	g.mu.RLock()
	b := g.members[key]
	if b != nil {
		b.inFlight.Add(1)
	}
	g.mu.RUnlock()
	if b != nil {
		return b
	}
	b, made := g.add(key)
	if made {
		b.emitState(context.Background(), nil, b.phase.Load(), "")
	}
	return b
}

// add makes the breaker of key, unless another goroutine was faster, and holds
// it.
func (g *Group) add(key string) (b *Breaker, made bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b = g.members[key]
	if b == nil {
		if len(g.members) >= g.maxKeys && !g.evict() {
			g.unguarded.Add(1)
			b = g.surplus
		} else {
			b, made = newBreaker(g.cfg, key, g), true
			g.members[key] = b
		}
	}
	b.inFlight.Add(1)
	return b, made
}

// evict drops an idle member, if it finds one among a few: looking at all on each
// call would let made-up keys slow down the real ones. It requires mu held.
func (g *Group) evict() bool {
	const look = 16
	n := 0
	for key, b := range g.members { // begins at a random place
		if b.idle() {
			delete(g.members, key)
			return true
		}
		if n++; n == look {
			break
		}
	}
	return false
}

// idle reports whether nothing would be lost with b.
func (b *Breaker) idle() bool {
	p, now := b.phase.Load(), b.now()
	if p.state != Closed || now-p.began < int64(b.cfg.Window) || b.inFlight.Load() != 0 {
		return false
	}
	calls, _ := p.window.sum(now)
	return calls == 0
}

// GroupStats is what a [Group] holds at one moment.
type GroupStats struct {
	Members    map[string]Stats // by key
	Unguarded  uint64           // calls made without a breaker for want of room so far
	HookPanics uint64           // panics of the hook so far, those of present members included
}

// Stats returns the state of every member. It costs time in proportion to their
// number.
func (g *Group) Stats() GroupStats {
	g.mu.RLock()
	defer g.mu.RUnlock()
	s := GroupStats{
		Members:    make(map[string]Stats, len(g.members)),
		Unguarded:  g.unguarded.Load(),
		HookPanics: g.report.Panics() + g.surplus.report.Panics(),
	}
	for key, b := range g.members {
		m := b.Stats()
		s.Members[key] = m
		s.HookPanics += m.HookPanics
	}
	return s
}
