package steadyredis

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/cache"
	"github.com/steady-go/steady/internal/deadline"
)

// Get returns the value of key, from Redis or by load. Meta tells which: the source is [cache.Fresh] for
// one from Redis, with the age since it was stored, [cache.Loaded] for one that was loaded now, and
// [cache.Negative] where Redis remembers that there is nothing; then the error is [cache.ErrNotFound], of the
// load's own error neither type nor text. With an error the value is the zero value.
//
// load is called on the goroutine of the caller, with its context. Its error is returned untouched, and not
// remembered but for what [cache.NotFound] marks. A panic of load, and a [runtime.Goexit], gives the lease back and goes on.
// What it brings is stored for the others even if ctx has ended meanwhile.
//
// Get returns an error of its own for no other reason than that ctx has ended before load was called: that of [steady.ContextErr]. An
// end of ctx that is no deadline is not seen while Redis is asked, which takes Timeout at most.
func (t *Tier[V]) Get(ctx context.Context, key string, load func(context.Context) (V, error)) (V, cache.Meta, error) {
	token := newToken()
	f, err := t.find(ctx, key, token)
	if err != nil {
		t.counts.failed.Add(1)
		return f.value, cache.Meta{}, err
	}
	switch f.where {
	case inRedis:
		t.counts.found.Add(1)
		return f.value, cache.Meta{Source: cache.Fresh, Age: f.age}, nil
	case nowhere:
		t.counts.negative.Add(1)
		return f.value, cache.Meta{Source: cache.Negative, Age: f.age, Err: cache.ErrNotFound}, cache.ErrNotFound
	}

	var v V
	if f.where == toLoad {
		v, err = t.loadLeased(ctx, key, token, load)
	} else {
		v, err = load(ctx)
	}
	if err != nil && !errors.Is(err, cache.ErrNotFound) {
		t.counts.failed.Add(1)
		return f.value, cache.Meta{}, err
	}
	if f.where == toLoad {
		t.counts.leased.Add(1)
	} else {
		t.counts.alone.Add(1)
	}
	if err != nil {
		v = f.value
	}
	return v, cache.Meta{Source: cache.Loaded}, err
}

// newToken returns one that no other lease has. It is no matter of chance that an experiment repeats, so
// it does not come from the context's source.
func newToken() string { return rand.Text() }

// A where tells where a value is.
type where uint8

const (
	inRedis     where = iota + 1
	nowhere           // Redis remembers that there is nothing
	toLoad            // we have the lease
	toLoadAlone       // to load without a lease
)

// A finding is what there is to answer a Get with.
type finding[V any] struct {
	where where
	value V
	age   time.Duration
}

// find looks a key up, and waits while another has the lease. Its error is that ctx has ended.
func (t *Tier[V]) find(ctx context.Context, key, token string) (finding[V], error) {
	var f finding[V]
	if err := steady.ContextErr(ctx); err != nil {
		return f, err
	}
	var p patience
	bad := "" // when an entry was stored that is no good
	for {
		r, err := t.ask(ctx, key, token, bad)
		if err != nil {
			if err := ended(ctx); err != nil {
				return f, err
			}
			t.tell(ctx, key, "look-up", err)
			f.where = toLoadAlone
			return f, nil
		}
		switch r.kind {
		case kindValue:
			if f.value, err = t.decoded(r.value); err == nil {
				f.where, f.age = inRedis, r.age
				return f, nil
			}
			t.tell(ctx, key, "decoding", err)
			if bad != "" { // another whose entries we do not know is at it
				f.where = toLoadAlone
				return f, nil
			}
			bad = r.at
		case kindNegative:
			f.where, f.age = nowhere, r.age
			return f, nil
		case ours:
			f.where = toLoad
			return f, nil
		case theirs:
			goOn, err := t.wait(ctx, &p)
			if err != nil {
				return f, err
			}
			if !goOn {
				f.where = toLoadAlone
				return f, nil
			}
		default: // kindPass
			f.where = toLoadAlone
			return f, nil
		}
	}
}

// ended returns the error of ctx if that has ended. The client keeps its deadline by itself, and may be ahead of it
// by a moment.
func ended(ctx context.Context) error {
	err := steady.ContextErr(ctx)
	if err == nil && deadline.Passed(ctx) {
		return context.DeadlineExceeded
	}
	return err
}

// Between two look-ups of who waits there is half to all of a time that doubles from the first to the second of these: little
// beside a load, and not more than some tens a second for a load that is slow.
const (
	firstPause = 2 * time.Millisecond
	mostPause  = 64 * time.Millisecond
)

// patience is that of one Get.
type patience struct {
	until  time.Time
	pauses int
}

// wait waits for a while, and reports whether it is worth looking again. Its error is that ctx has ended.
func (t *Tier[V]) wait(ctx context.Context, p *patience) (bool, error) {
	now := time.Now()
	if p.pauses == 0 {
		limit := t.maxWait
		if d, ok := ctx.Deadline(); ok {
			limit = min(limit, d.Sub(now)/2)
		}
		p.until = now.Add(limit)
		if limit > 0 {
			t.counts.waited.Add(1)
		}
	}
	left := p.until.Sub(now)
	if left <= 0 {
		return false, nil
	}
	pause := min(firstPause<<min(p.pauses, 16), mostPause)
	pause -= time.Duration(steady.Random(ctx, "redis pause", uint64(p.pauses)) * float64(pause) / 2)
	p.pauses++
	timer := time.NewTimer(min(pause, left))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true, nil
	case <-ctx.Done():
		return false, steady.ContextErr(ctx)
	}
}

// loadLeased loads, and stores what the load brings or gives the lease back.
func (t *Tier[V]) loadLeased(ctx context.Context, key, token string, load func(context.Context) (V, error)) (v V, err error) {
	after := context.WithoutCancel(ctx)
	e := entry{} // none, if what is the user's does not return
	defer func() { t.settle(after, key, token, e) }()
	v, err = load(ctx)
	e = t.entry(ctx, key, v, err)
	return v, err
}

// An entry is what is to be stored of a load. Without a kind it is nothing.
type entry struct {
	kind  string
	value []byte
	stays time.Duration
}

// entry returns what is to be stored of what a load returned.
func (t *Tier[V]) entry(ctx context.Context, key string, v V, err error) entry {
	pass := entry{kind: kindPass, stays: t.lease}
	switch {
	case err == nil:
		data, err := t.encoded(v)
		if err != nil {
			t.tell(ctx, key, "encoding", err)
			return pass
		}
		return entry{kind: kindValue, value: data, stays: t.shorten(ctx, t.fresh)}
	case !errors.Is(err, cache.ErrNotFound):
		return entry{}
	case t.negativeFor > 0:
		return entry{kind: kindNegative, stays: t.shorten(ctx, t.negativeFor)}
	default:
		return pass
	}
}

// settle puts an entry in the place of the lease, or gives that back if it is none.
func (t *Tier[V]) settle(ctx context.Context, key, token string, e entry) {
	if e.kind == "" {
		if _, err := t.guarded(ctx, release, key, token); err != nil {
			t.tell(ctx, key, "giving back the lease", err)
		}
		return
	}
	r, err := t.guarded(ctx, fill, key, token, e.kind, e.value, milliseconds(e.stays), orLeave)
	switch {
	case err != nil:
		t.tell(ctx, key, "storing", err)
	case isGone(r):
		t.counts.unstored.Add(1)
	}
}

// isGone reports whether a script has not found the lease.
func isGone(r []string) bool { return len(r) == 1 && r[0] == "gone" }

// shorten returns a time as jitter shortens it.
func (t *Tier[V]) shorten(ctx context.Context, d time.Duration) time.Duration {
	return d - time.Duration(t.jitter*steady.Random(ctx, "redis jitter", 0)*float64(d))
}

// encoded returns a value as it is stored.
func (t *Tier[V]) encoded(v V) ([]byte, error) {
	data, err := t.encode(v)
	if err != nil {
		return nil, err
	}
	if t.maxBytes != NoMaxBytes && len(data) > t.maxBytes {
		return nil, fmt.Errorf("%w: %d bytes, of %d at most", ErrTooLarge, len(data), t.maxBytes)
	}
	return data, nil
}

// decoded returns the value of an entry. Whatever it is that others have stored, it must not
// take this process down.
func (t *Tier[V]) decoded(data string) (v V, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err != nil {
			var none V
			v = none
		}
	}()
	err = t.decode([]byte(data), &v)
	return v, err
}

// tell tells OnError what went wrong while the caller gets its answer all the same.
func (t *Tier[V]) tell(ctx context.Context, key, what string, err error) {
	if _, rejected := steady.AsRejection(err); rejected {
		return
	}
	t.counts.errors.Add(1)
	if t.onError == nil {
		return
	}
	defer func() {
		if recover() != nil {
			t.counts.panics.Add(1)
		}
	}()
	t.onError(ctx, t.fault(key, what, err))
}

// fault says in an error what it is about.
func (t *Tier[V]) fault(key, what string, err error) error {
	return fmt.Errorf("steadyredis: %s: %s of %q: %w", t.called(), what, key, err)
}

// called is what errors call the tier.
func (t *Tier[V]) called() string { return cmp.Or(t.name, strconv.Quote(t.prefix)) }
