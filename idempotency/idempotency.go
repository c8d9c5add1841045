// Package idempotency keeps a request that comes twice from being done twice: the customer refreshes the page, the client
// repeats after a timeout, the queue redelivers, and one order is placed.
//
// # What is not guaranteed
//
// Not that code runs once: a process that dies or stalls in the middle of a call leaves a key whose effect nobody knows, and
// OnUnknown says what then. Nothing about effects outside the store's own transaction in that case. Nothing after
// retention. Nothing if the store loses writes that it has acknowledged. Where the data that a call changes lies in
// the database of the store, the Once of contrib/sql and contrib/bbolt changes both in one transaction, and leaves
// nothing unknown: prefer it.
//
// # What is guaranteed
//
// For each key, within retention: at most one owner at a time; at most one stored outcome; every replay of the same
// stored bytes (what the codec makes of them is another matter: see [Config.Codec]); and as many executions as distinct keys, recoveries and clean releases together.
//
//	guard := idempotency.MustNew(idempotency.Config{
//		Scope:     "orders",
//		Store:     store, // in memory if nil; contrib/bbolt, contrib/sql and contrib/redis survive the process
//		OnUnknown: idempotency.Rerun,
//	})
//	order, info, err := idempotency.Do(ctx, guard, idempotency.Join(customer, key), fingerprint,
//		func(ctx context.Context) (Order, error) { return place(ctx, cart) })
//
// What the call ends with decides what the next caller with the same key gets:
//
//	nil                                   the same value
//	Final(err)                            the same error
//	a steady.Rejection, NotApplied(err)   its call is made: the earlier one did nothing
//	any other error, a panic, a Goexit,   nobody knows: OnUnknown says whether its
//	a lost lease, a passed deadline       call is made, told that it is a recovery, or refused
//
// A guard stands outside of retries. Inside one, each attempt would be a request of its own to it. A call that hands work to another system passes
// on a [Execution.DownstreamKey], which is the same in each attempt, so that this system can do the same.
//
// Package httpidempotency is the middleware for net/http, package storetest the test for stores.
package idempotency

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/check"
	"github.com/steady-go/steady/internal/refusal"
	"github.com/steady-go/steady/internal/report"
)

// OnUnknown says what becomes of a key whose owner is gone without an outcome: its call may have had its effect, or not. There
// is no default, since both may be wrong.
type OnUnknown uint8

const (
	// Rerun makes the call again, and tells it by [Execution.Recovered]. It is right where a call can find out what an earlier one did, or
	// hands on a [Execution.DownstreamKey] to one that can.
	Rerun OnUnknown = iota + 1
	// Refuse returns [ErrUnknown] until somebody says what happened by [Resolve], or until retention ends.
	Refuse
)

// Config is the configuration of a [Guard]. OnUnknown is required.
type Config struct {
	// Name tells guards apart in events and errors. It may be empty.
	Name string

	// Store keeps the keys. nil means a [MemoryStore] of the guard's own, with its defaults.
	Store Store

	// Scope tells apart the keys of guards that share a store, such as by what they guard. It may be empty.
	Scope string

	// OnUnknown is [Rerun] or [Refuse].
	OnUnknown OnUnknown

	// Lease is how long a key stays claimed when its owner is not heard of any more: after a crash nobody gets
	// further for so long. The owner extends it every third of it. 0 means 30 s: longer than usual pauses of a
	// process and its network, and about as long as a user waits. It must be at least 10 ms.
	Lease time.Duration

	// MaxRun is how long a call may run. Its context ends then, and its lease is extended no more. 0 means 10 minutes:
	// a call that hangs must not hold its key for ever.
	MaxRun time.Duration

	// Keep is retention: for how long an outcome is stored, and, after MaxRun and Lease from the claim, an unknown one remembered. 0 means 24 h, by which
	// clients have given up.
	Keep time.Duration

	// Wait is how long a duplicate waits for its original. It asks the store at growing intervals, of 10 ms to 250 ms. 0 means not at all: it is
	// rejected with [ErrInFlight].
	Wait time.Duration

	// MaxOutcome is how many bytes an outcome may have. One that is larger is stored as done, and not
	// replayable. 0 means 2 MiB.
	MaxOutcome int

	// Codec turns results into bytes and back. nil means: by MarshalBinary and UnmarshalBinary, if the result, or what it points to, has both, and else as JSON.
	// JSON loses what it has no words for: fields that are not exported, strings that are not UTF-8, and of an any that it was no float64. A struct that embeds a type with
	// these methods, or with those of JSON, has them too, and loses its other fields: give it methods of its own.
	Codec Codec

	// Errors are those that the replay of a final error is to match by [errors.Is] if the original did. They are stored
	// by name.
	Errors map[string]error

	// Hook hears of every Do. nil means nobody. The Reason of its events is what became of it. Of a call that was made: "run", "recovered", "released", "left unknown", "rolled back" (of a
	// [Once]), "not stored" and "lost"; of none, "replayed", "not replayable" and "unknown"; of rejections, "in flight", "mismatch", "store", "key" and "context".
	Hook steady.Hook
}

// Why these, see [Config].
const (
	defaultLease      = 30 * time.Second
	defaultMaxRun     = 10 * time.Minute
	defaultKeep       = 24 * time.Hour
	defaultMaxOutcome = 2 << 20

	minLease = 10 * time.Millisecond
)

const policyName = "idempotency"

// A Guard keeps calls with the same key from being made twice. It is made by [New], used by [Do], and may be used by
// several goroutines at once. There is nothing to close.
type Guard struct {
	store      Store
	memory     *MemoryStore // the store, if it is one
	scope      string
	onUnknown  OnUnknown
	lease      time.Duration
	maxRun     time.Duration
	keep       time.Duration
	wait       time.Duration
	maxOutcome int
	codec      Codec
	errors     map[string]error

	name     string
	mismatch *refusal.Refusal
	report   report.Reporter
	counts   counts
}

// New returns a guard, or an error that names every fault of c.
func New(c Config) (*Guard, error) {
	def := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	def(&c.Lease, defaultLease)
	def(&c.MaxRun, defaultMaxRun)
	def(&c.Keep, defaultKeep)
	f := check.Config("idempotency: Config")
	f.Require(c.OnUnknown == Rerun || c.OnUnknown == Refuse, "OnUnknown", "be Rerun or Refuse", c.OnUnknown)
	f.Require(c.Lease >= minLease, "Lease", "be >= 10ms", c.Lease)
	f.Require(c.MaxRun > 0, "MaxRun", "be > 0", c.MaxRun)
	f.Require(c.Keep > 0, "Keep", "be > 0", c.Keep)
	f.Require(c.Wait >= 0, "Wait", "be >= 0", c.Wait)
	f.Require(c.MaxOutcome >= 0, "MaxOutcome", "be >= 0", c.MaxOutcome)
	for name, err := range c.Errors {
		f.Require(err != nil, "Errors", "hold errors", name+": nil")
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	g := &Guard{
		scope: c.Scope, onUnknown: c.OnUnknown,
		lease: c.Lease, maxRun: c.MaxRun, keep: c.Keep, wait: c.Wait, maxOutcome: c.MaxOutcome,
		codec: c.Codec, errors: make(map[string]error, len(c.Errors)),
		name: c.Name, mismatch: refusal.NewPermanent(policyName, c.Name, ErrMismatch),
	}
	if c.Store == nil {
		c.Store = check.Must(NewMemoryStore(MemoryConfig{}))
	}
	g.store = calm{c.Store}
	g.memory, _ = c.Store.(*MemoryStore)
	if g.maxOutcome == 0 {
		g.maxOutcome = defaultMaxOutcome
	}
	if g.codec == nil {
		g.codec = standardCodec{}
	}
	for name, err := range c.Errors {
		g.errors[name] = err
	}
	g.report.Init(c.Hook, policyName, c.Name, "")
	report.Introduce(&g.report, g)
	return g, nil
}

// MustNew is like [New] but panics on an error.
func MustNew(c Config) *Guard { return check.Must(New(c)) }

// Join makes one key, or fingerprint, of several parts, such as a tenant and what that calls a key. Different parts make different keys.
func Join(parts ...string) string {
	var b []byte
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return string(b)
}

// MaxOutcome returns that of the configuration, or the default.
func (g *Guard) MaxOutcome() int { return g.maxOutcome }

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// An Info tells how a [Do] came to what it returned.
type Info struct {
	Execution      // of the call; the zero value if it was not made
	Replayed  bool // what is returned is the outcome of an earlier call

	// Err tells why the store could not be told what the call came to. If it matches [ErrLost] somebody else has the key; otherwise it is
	// claimed until its lease passes, and its outcome unknown then. It is no [steady.Rejection].
	Err error
}

// Do makes call unless one with the same key was made, and returns what that came to. The key must not be empty. If it is used with another fingerprint the Do
// is rejected with [ErrMismatch]: fingerprint is what is asked for, such as the body of the request, or empty if the key says it all.
// Both may be of any length. They are hashed, and not kept.
//
// call is made on the caller's goroutine, with a context that ends with ctx, after MaxRun, and, with the cause
// [ErrLeaseLost], when the lease is lost: it must stop then, for somebody else may be at work. [FromContext] tells it which attempt it is. When it
// returns, its work must be over: a call that was abandoned by a timeout within it may meet the next attempt.
//
// Its outcome is stored before Do returns, also if ctx is done by then. If that fails, Do still returns it, and [Info.Err] tells why. But when somebody
// else has claimed the key meanwhile, the error is one that matches [ErrLost] and [ErrUnknown], since the outcome that will be replayed is the other's.
// A panic goes on to the caller. Within another Do's call, that the inner one did nothing says nothing of the outer one, whose outcome is unknown if it returns that; a final error is final for both. Where
// a part of the call was rejected the error is no rejection any more.
//
// Do returns a rejection, and makes no call, if another one is in flight ([ErrInFlight]; see Wait), if the store fails
// ([ErrStore]), and on a mismatch. It also makes none when it returns [ErrUnknown] or [ErrNotReplayable].
func Do[T any](ctx context.Context, g *Guard, key, fingerprint string, call func(context.Context) (T, error)) (T, Info, error) {
	return do(entrance{g: g, ctx: ctx, store: g.store}, key, fingerprint, call)
}

// Once is [Do] in a transaction of the caller's: in is a store that is bound to it, such as the In of contrib/sql and contrib/bbolt gives, and
// call changes data in the same transaction. Commit if Once returns no error or one that [IsFinal], and roll back otherwise. Nothing is
// unknown then, whatever crashes: both are there or neither. A duplicate waits for the transaction in the store.
//
// There is no lease to extend, MaxRun does not apply, and what could not be stored is an error.
func Once[T any](ctx context.Context, g *Guard, in Store, key, fingerprint string, call func(context.Context) (T, error)) (T, Info, error) {
	return do(entrance{g: g, ctx: ctx, store: in, inTx: true}, key, fingerprint, call)
}

func do[T any](e entrance, key, fingerprint string, call func(context.Context) (T, error)) (v T, info Info, err error) {
	var none T
	r, o, err := e.enter(key, fingerprint)
	if err != nil {
		return none, Info{}, e.told(err)
	}
	if r == nil {
		if replayed, err := e.replay(o, &v); err != nil {
			return none, Info{Replayed: replayed}, err
		}
		return v, Info{Replayed: true}, nil
	}
	defer r.unwind() // does nothing unless call panics or ends the goroutine
	v, err = call(r.ctx)
	info, stands, err := r.end(&v, err)
	if !stands {
		v = none
	}
	return v, info, err
}

// Resolve says what a call came to whose outcome is unknown, in the words in which the call would have: by nil and the value, by
// [Final], [Unreplayable] or [NotApplied]. It returns an error that matches [ErrInFlight] while the owner may still be at work, and one that matches [ErrNothingToResolve] if the outcome is not unknown. It needs
// no fingerprint; with NotApplied the key is forgotten, its fingerprint too.
func Resolve[T any](ctx context.Context, g *Guard, key string, v T, err error) error {
	return g.resolve(ctx, key, &v, err)
}

// ErrNothingToResolve is matched by the error of a [Resolve] of a key whose outcome is not unknown.
var ErrNothingToResolve = errors.New("idempotency: nothing to resolve")

func (g *Guard) resolve(ctx context.Context, key string, v any, as error) error {
	if key == "" {
		return ErrNoKey
	}
	verdict := final
	if as != nil {
		if verdict = judge(as); verdict == unknown {
			return errors.New("idempotency: Resolve: the error must be nil, Final, Unreplayable or NotApplied, got " + as.Error())
		}
	}
	o, keep := notReplayable("not applied"), time.Duration(0) // a Release would leave it unknown, so it is forgotten
	if verdict != notApplied {
		o, keep = g.encode(v, as), g.keep
		if o[1] == kindNotReplayable && verdict == final {
			return fmt.Errorf("idempotency: Resolve: the outcome cannot be stored: %s", o[2:])
		}
	}
	c := g.newClaim(key)
	e := &entrance{g: g, ctx: ctx, store: g.store}
	grant, err := g.store.Begin(ctx, c)
	switch {
	case err != nil:
		return e.withdraw(c, err)
	case grant.Status == Busy:
		return &inFlight{g.name, grant.LeaseLeft}
	case grant.Status != Acquired:
		return ErrNothingToResolve
	}
	r := &run{entrance: e, exec: Execution{Key: c.Key, Token: c.Token}}
	if !grant.Recovered {
		return errors.Join(ErrNothingToResolve, r.release())
	}
	err = r.settle(finishFor, func(ctx context.Context) error { return g.store.Finish(ctx, c.Key, c.Token, o, keep) })
	if err != nil {
		_ = r.leave()
	}
	return err
}

func (g *Guard) keyOf(key string) string { return digest(Join(g.scope, key)) }
