package idempotency

import (
	"math"
	"time"
)

// A Record is what a [Store] keeps of one key. Its methods are the rules for all stores, without their storage: read the record, call one, and if it says so write
// the record back, all in one atomic step. The zero Record is that of a key that nobody has claimed.
//
// now is the present time of the store's clock, as the time since a moment that never changes.
type Record struct {
	Fingerprint string
	Token       string // of who claimed the key last
	Fence       uint64
	Attempt     int
	Recovered   bool          // the owner was told so
	LeaseUntil  time.Duration // of that owner
	KeepUntil   time.Duration // retention: then the record counts as none, and may be dropped
	State       State
	Outcome     Outcome // once the state is Finished
}

// A State is that of a [Record].
type State uint8

const (
	Claimed  State = iota // its owner is at work, or gone
	Released              // the owner says that it did nothing
	Finished              // the outcome is there
)

// Begin claims the key of the record. The record has changed, and must be stored, if the grant is Acquired.
//
// The fence is the time in microseconds, or that of the record + 1 if that is more. So it grows even when the record was dropped in between.
func (r *Record) Begin(now time.Duration, c Claim) Grant {
	if r.Attempt == 0 || now >= r.KeepUntil {
		*r = Record{Fence: r.Fence, State: Released}
	}
	switch {
	case r.Fingerprint != "" && c.Fingerprint != "" && r.Fingerprint != c.Fingerprint:
		return Grant{Status: Mismatch}
	case r.State == Finished:
		return Grant{Status: Done, Outcome: r.Outcome}
	case r.State == Claimed && r.Token == c.Token:
	case r.State == Claimed && now < r.LeaseUntil:
		return Grant{Status: Busy, LeaseLeft: r.LeaseUntil - now}
	case r.State == Claimed && c.RefuseUnknown:
		return Grant{Status: Unknown}
	default:
		r.Token = c.Token
		r.Fence = max(r.Fence+1, uint64(max(now, 0)/time.Microsecond))
		r.Attempt++
		r.Recovered = r.State == Claimed
		r.State = Claimed
	}
	if r.Fingerprint == "" {
		r.Fingerprint = c.Fingerprint
	}
	r.LeaseUntil = after(now, c.Lease)
	r.KeepUntil = after(now, max(c.Keep, c.Lease))
	return Grant{Status: Acquired, Fence: r.Fence, Attempt: r.Attempt, Recovered: r.Recovered}
}

// Extend is that of a [Store]. The record must be stored unless there is an error.
func (r *Record) Extend(now time.Duration, token string, lease time.Duration) error {
	switch {
	case !r.isOwned(now, token) || r.State == Released:
		return ErrLost
	case r.State == Finished:
		return nil
	}
	r.LeaseUntil = after(now, lease)
	r.KeepUntil = max(r.KeepUntil, r.LeaseUntil)
	return nil
}

// Finish is that of a [Store]. The record must be stored unless there is an error.
func (r *Record) Finish(now time.Duration, token string, o Outcome, keep time.Duration) error {
	switch {
	case !r.isOwned(now, token) || r.State == Released:
		return ErrLost
	case r.State == Finished:
		return nil
	}
	r.State, r.Outcome = Finished, o
	r.LeaseUntil, r.KeepUntil = now, after(now, keep)
	return nil
}

// Release is that of a [Store]. The record must be stored unless there is an error.
func (r *Record) Release(now time.Duration, token string) error {
	if !r.isOwned(now, token) || r.State == Finished {
		return ErrLost
	}
	if !r.Recovered { // or what an earlier owner did is as unknown as before
		r.State = Released
	}
	r.LeaseUntil = now
	return nil
}

func (r *Record) isOwned(now time.Duration, token string) bool {
	return r.Attempt > 0 && now < r.KeepUntil && r.Token == token
}

// after returns now + d, or the end of time.
func after(now, d time.Duration) time.Duration {
	if d > math.MaxInt64-max(now, 0) {
		return math.MaxInt64
	}
	return now + d
}
