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
	// the group is full, it looks at a few members at random for one that is idle: not
	// forced, with no call under way and none in the last Window, and either closed or
	// past its open time for a Window. That one makes room, and its row of failures is
	// forgotten. If there is none, the call is made without a breaker, and Stats counts
	// it: made-up keys must not push out the history of real ones. So choose a bound
	// above the number of keys that are in use. 0 means 1024.
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
	// MinSuccess is the share of the calls to the other members, in the Window, that
	// must have succeeded, and not slowly, for a member to open, or to open again after
	// its probes failed. The worst of the others are left out, as many as may be open
	// together with it: that they fail says nothing against it. Above 0 and at most 1.
	// 0 means 0.9: nodes that are well do better, and an overload does worse.
	MinSuccess float64

	// MaxOpenShare is the share of the members that had calls in the Window that
	// may be open, forced open or half-open at once. One may always be. When a further
	// one would open, that which has been open for longest probes early, so that it
	// makes room if it is well again. Above 0 and at most 1. 0 means 0.3.
	MaxOpenShare float64

	// ShedAbove is the share of the calls to all members that may fail. When more do,
	// of MinCalls or more within a tenth of Window, and no member does well by
	// itself, Do and Pick refuse so many calls at random, with [ErrShed], that the rest
	// can succeed. An overload that feeds itself, in which the members work for callers
	// who have left, ends so within seconds, and otherwise may last for ever. Above 0 and
	// below 1; Off refuses nothing. 0 means 0.5: as in Google's SRE Book, chapter 21,
	// twice as many calls are then let through as succeed.
	ShedAbove float64
}

// A Group keeps one [Breaker] for each key: a host, a node, a shard, a tenant. It
// makes them as keys come and bounds their number. It may be used by several
// goroutines at once, and needs no closing.
type Group struct {
	cfg     Config
	maxKeys int
	origin  time.Time // clock readings of all members are nanoseconds since then
	report  report.Reporter
	dryRun  atomic.Bool // of all members

	mu      sync.RWMutex
	members map[string]*Breaker // guarded by mu
	seq     uint64              // of the first state of a new member; guarded by mu

	surplus    *Breaker // disabled: the breaker of calls for which there is no room
	unguarded  atomic.Uint64
	noneToPick *rejection
	allRefused *rejection
	drawKey    string // of Pick's random draws

	peers   *peers   // nil without Peers
	shedder *shedder // nil without Peers, or with ShedAbove Off
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
	f.Require(c.MaxKeys != 1 || c.Peers == nil, "MaxKeys", "be above 1 with Peers", c.MaxKeys)
	p, s := newPeers(c.Peers, cfg, f), newShedder(c.Peers, cfg, f)
	if err := f.Err(); err != nil {
		return nil, err
	}
	g := &Group{cfg: cfg, maxKeys: c.MaxKeys, origin: time.Now(), members: make(map[string]*Breaker), peers: p, shedder: s}
	g.report.Init(c.Hook, "breaker", c.Name, "")
	g.dryRun.Store(c.DryRun)
	g.drawKey = "breaker.pick:" + c.Name
	g.surplus = newBreaker(cfg, "", g)
	g.surplus.phase.Store(g.surplus.phaseOf(Disabled, 0))
	g.noneToPick = &rejection{breaker: g.surplus, is: ErrNoCandidate, reason: "no candidate", text: ErrNoCandidate.Error()}
	g.allRefused = g.surplus.refusal("open", "refusing every candidate", 0)
	report.Introduce(&g.report, g)
	if s != nil {
		s.refusal = g.surplus.refusal(shedding, "shedding load", 0)
		s.refusal.is = ErrShed
		g.report.Emit(context.Background(), steady.Event{Kind: steady.KindState, To: admitting})
	}
	return g, nil
}

// MustNewGroup is like [NewGroup] but panics on an error.
func MustNewGroup(c GroupConfig) *Group { return check.Must(NewGroup(c)) }

// Do runs call under the breaker of key; see [Breaker.Do]. Its rejection may also
// match [ErrShed].
func (g *Group) Do(ctx context.Context, key string, call func(context.Context) error) error {
	if ctx.Err() != nil {
		return g.report.ContextDone(ctx, 0)
	}
	if refused := g.shed(ctx); refused != nil {
		return g.report.Reject(ctx, refused.reason, 0, refused)
	}
	b := g.hold(key, false)
	defer b.inFlight.Add(-1)
	return b.Do(ctx, call)
}

// By returns a policy that runs each call under the breaker of the key that key
// finds in the call's context. It panics if key is nil.
func (g *Group) By(key func(context.Context) string) steady.Policy {
	if key == nil {
		panic("breaker: By: key is nil")
	}
	return &keyed{g, key}
}

type keyed struct {
	group *Group
	key   func(context.Context) string
}

func (k *keyed) Do(ctx context.Context, call func(context.Context) error) error {
	return k.group.Do(ctx, k.key(ctx), call)
}

// Inspect is that of the group.
func (k *keyed) Inspect() []steady.Status { return k.group.Inspect() }

func (k *keyed) Link() chain.Link { return chain.Link{Of: k, Do: k.doNext} }

func (k *keyed) doNext(ctx context.Context, next chain.Next) error { return k.Do(ctx, next.Do) }

// Get returns the breaker of key, and makes it if need be, beyond MaxKeys too: to
// force its state, or to read it. It should not be kept, since the group may drop it
// when it is idle.
func (g *Group) Get(key string) *Breaker {
	b := g.hold(key, true)
	b.inFlight.Add(-1)
	return b
}

// hold returns the breaker of key with one more call in flight, so that it stays
// until the caller takes that back. If there is none it makes one, beyond MaxKeys too
// if it is asked to. It requires no lock held, since the hook hears of it.
func (g *Group) hold(key string, beyond bool) *Breaker {
	g.mu.RLock()
	b := g.members[key]
	if b != nil {
		b.inFlight.Add(1)
	}
	g.mu.RUnlock()
	if b != nil {
		return b
	}
	b, isNew, dropped := g.make(key, beyond)
	held := false
	defer func() { // a hook may end its goroutine
		if !held {
			b.inFlight.Add(-1)
		}
	}()
	for _, d := range dropped {
		d.emitDropped(d.last)
	}
	if isNew {
		b.announce()
	}
	held = true
	return b
}

// A dropped is a member that a group has dropped, and the phase that it was in then.
type dropped struct {
	*Breaker
	last *phase
}

// make is hold for a key that has no member, or had none a moment ago. The caller must
// announce a new one, and tell of those that were dropped for it.
func (g *Group) make(key string, beyond bool) (b *Breaker, isNew bool, gone []dropped) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b = g.members[key]
	if b == nil {
		var room bool
		room, gone = g.makeRoom()
		switch {
		case room || beyond:
			b, isNew = newBreaker(g.cfg, key, g), true
			b.phase.Load().seq = g.seq
			g.members[key] = b
		default:
			g.unguarded.Add(1)
			b = g.surplus
		}
	}
	b.inFlight.Add(1)
	return b, isNew, gone
}

// announce tells the hook the first state of a breaker.
func (b *Breaker) announce() { b.emitState(context.Background(), nil, b.phase.Load(), "") }

// makeRoom reports whether there is room for one more member, and drops idle ones to
// that end. It requires mu held.
func (g *Group) makeRoom() (room bool, gone []dropped) {
	for len(g.members) >= g.maxKeys {
		d, ok := g.evict()
		if !ok {
			return false, gone
		}
		gone = append(gone, d)
	}
	return true, gone
}

// evict drops an idle member, if it finds one among a few: looking at all on each
// call would let made-up keys slow down the real ones. It requires mu held.
func (g *Group) evict() (d dropped, ok bool) {
	const look = 16
	n := 0
	for key, b := range g.members { // begins at a random place
		if b.inFlight.Load() == 0 && b.forgotten(b.now()) {
			// A member that comes back must not begin below what hooks have seen of it,
			// the end of its predecessor included.
			last := b.phase.Load()
			g.seq = max(g.seq, last.seq+2)
			delete(g.members, key)
			return dropped{b, last}, true
		}
		if n++; n == look {
			break
		}
	}
	return dropped{}, false
}

// forgotten reports whether nobody has called b for so long that nothing is lost
// with it.
func (b *Breaker) forgotten(now int64) bool {
	p := b.phase.Load()
	since := p.began
	switch p.state {
	case Closed:
		if p.window.sum(now).calls > 0 {
			return false
		}
	case Open:
		since += int64(p.length)
	case HalfOpen:
		since = max(since, p.trial.called())
	default:
		return false
	}
	return now-since >= int64(b.cfg.Window)
}

// GroupStats is what a [Group] holds at one moment.
type GroupStats struct {
	Members    map[string]Stats // by key
	Unguarded  uint64           // calls made without a breaker for want of room so far
	Shedding   float64          // share of the calls that are refused now because all members fail
	Shed       uint64           // calls refused for that so far
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
	if g.shedder != nil {
		s.Shedding, s.Shed = g.shedder.refusing(), g.shedder.soFar.Load()
	}
	for key, b := range g.members {
		m := b.Stats()
		s.Members[key] = m
		s.HookPanics += m.HookPanics
	}
	return s
}
