// Package steadydebug shows what the policies of a service do, live, on a page for its debug
// port, as net/http/pprof shows what its goroutines do. The page is a hook at the same time,
// which hears what it shows:
//
//	page := steadydebug.MustNew(steadydebug.Config{})
//	db := breaker.MustNew(breaker.Config{Name: "db", Hook: page})
//	mux.Handle("/debug/steady/", page)
//
// One page serves all policies of a process. It shows where each stands, how many calls a
// second end how, what is refused and why, how long calls take, what the members of a group
// do, and the last changes, with the trace in which they happened. Policies that have
// another hook are added by [Page.Register], and [steady.Hooks] makes one hook of several.
//
// The page renews itself each second. It needs no other host, and works without its script
// too, by reloading. The same facts are at status.json, as a [Status]. It may be served under
// any path that ends in a slash, through [http.StripPrefix], and at several paths at once.
//
// # Who may see it
//
// Whoever reaches the port: names, keys and reasons are shown to anybody who asks. Serve it where
// pprof is served, not where customers are.
//
// # Switches
//
// Policies can be changed by hand, such as a breaker forced open, if Config.AllowControl
// says so for a request; by default nobody may. It is then the service's to know who
// asks. A rule for paths in front of the page is no guard: what counts is the last element of a
// path. The page itself refuses what a browser sends on behalf of another site, and, on the
// loopback interface, under a name that is not localhost. A reverse proxy on the same host should
// therefore send "Host: localhost", and be reached over https, where browsers say themselves that a
// request is of the same origin.
//
// # What it costs
//
// A call costs a look into a table and two additions, a request to a cache three, and no clock is read;
// long names cost more. Changes of state and abandoned calls, which are rarer, take a lock and read the clock. Rates
// are made when somebody looks. What it keeps is bounded: 500 policies by kind and name (what happens at
// others is counted together), 16 reasons for each, the last 100 changes, and the counts of a minute.
package steadydebug

import (
	"context"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/check"
	"github.com/steady-go/steady/internal/inventory"
)

// Config is the configuration of a [Page]. Its zero value is a good default.
type Config struct {
	// Title tells pages of several services apart: the name of this one, say. It may be
	// empty, and must be UTF-8 of at most 256 bytes.
	Title string

	// AllowControl says who may throw switches. It is asked for each request that wants
	// to, and for each look, so that who may not is offered none. nil means
	// nobody: a switch can take a service down. It may be called by several goroutines at once.
	AllowControl func(*http.Request) bool

	// TraceID returns the ID of the trace that a context belongs to, or "".
	// steadyotel.TraceID does. It is called for the changes that are listed, not for each
	// call. nil means that no traces are shown. It may be called by several goroutines at once.
	TraceID func(context.Context) string
}

// A Page is a [steady.Hook] and an [http.Handler] that shows what it hears. It is made by
// [New], may be used by several goroutines at once, and needs no closing. As a hook it does
// not keep policies from being collected.
type Page struct {
	cfg      Config
	origins  *http.CrossOriginProtection
	policies inventory.Inventory
	tallies  tallies
	moments  moments
	history  history
}

// New returns a page that has heard of nothing yet, or an error that names every fault of c.
func New(c Config) (*Page, error) {
	f := check.Config("steadydebug: Config")
	f.Require(len(c.Title) <= maxText, "Title", "have at most 256 bytes", len(c.Title))
	f.Require(utf8.ValidString(c.Title), "Title", "be UTF-8", clip(c.Title))
	if err := f.Err(); err != nil {
		return nil, err
	}
	p := &Page{cfg: c, origins: http.NewCrossOriginProtection()}
	p.history.begin(time.Now())
	return p, nil
}

// MustNew is like [New] but panics on an error.
func MustNew(c Config) *Page { return check.Must(New(c)) }

// Register adds policies that do not report to p, so that it shows where they stand. It
// keeps them. Each must be a [steady.Inspector], as all policies of this module and chains
// of them are; an error names those that are not, and the others are added. It does no harm if
// a policy is known already.
func (p *Page) Register(policies ...any) error {
	return p.policies.Register("steadydebug: Register", policies)
}

// On counts e, or lists it among the last changes.
func (p *Page) On(ctx context.Context, e steady.Event) {
	switch e.Kind {
	case steady.KindDone:
		if t := p.tallies.of(e.Policy, e.Name); t != nil {
			t.done(e.Outcome, e.Duration, e.Reason)
		}
	case steady.KindRejected:
		if t := p.tallies.of(e.Policy, e.Name); t != nil {
			t.rejected.add(e.Reason)
		}
	case steady.KindRetry:
		if t := p.tallies.of(e.Policy, e.Name); t != nil {
			t.retries.Add(1)
		}
	case steady.KindDryRun:
		if t := p.tallies.of(e.Policy, e.Name); t != nil {
			t.dryRun.add(e.Reason)
		}
	case steady.KindInjected:
		if t := p.tallies.of(e.Policy, e.Name); t != nil {
			t.injected.add(e.Reason)
		}
	case steady.KindAbandoned:
		if t := p.tallies.of(e.Policy, e.Name); t != nil {
			t.abandoned.Add(1)
		}
		p.list(ctx, "abandoned", e.Policy, e.Name, e.Key, Moment{})
	case steady.KindLate:
		if panicked, ok := e.Err.(*steady.PanicError); ok && panicked != nil {
			p.list(ctx, "panic", e.Policy, e.Name, e.Key, Moment{Reason: panicked.Error()})
		}
	case steady.KindLoad:
		if t := p.tallies.of(e.Policy, e.Name); t != nil {
			t.loads.add(e.Reason)
		}
	case steady.KindLoaded:
		if e.Outcome == steady.Success {
			return
		}
		if t := p.tallies.of(e.Policy, e.Name); t != nil {
			t.fruitless.Add(1)
		}
		if panicked, ok := e.Err.(*steady.PanicError); ok && panicked != nil {
			p.list(ctx, "load panic", e.Policy, e.Name, e.Key, Moment{Reason: panicked.Error()})
		}
	case steady.KindEvicted:
		if t := p.tallies.of(e.Policy, e.Name); t != nil {
			t.evicted.add(e.Reason)
		}
	case steady.KindState:
		// A policy that has come, or a member that has gone, has not changed.
		if e.From != "" && e.To != "" {
			p.list(ctx, "state", e.Policy, e.Name, e.Key, Moment{From: e.From, To: e.To, Reason: e.Reason, seq: e.Seq})
		}
	case steady.KindNew:
		p.policies.Heard(e.Of)
	}
}

// list adds a moment.
func (p *Page) list(ctx context.Context, kind, policy, name, key string, m Moment) {
	m.Time, m.Kind, m.Policy, m.Name, m.Key = time.Now(), kind, policy, name, key
	m.TraceID = p.traceID(ctx)
	p.moments.add(m)
}

// traceID returns the trace of ctx. One that cannot be told must not cost the moment.
func (p *Page) traceID(ctx context.Context) (id string) {
	if p.cfg.TraceID == nil {
		return ""
	}
	defer func() { _ = recover() }()
	return p.cfg.TraceID(ctx)
}
