package idempotency

import (
	"context"
	"time"
)

// A Store keeps the records of keys. Package storetest checks an implementation against this contract; one that can read and
// write a [Record] in one atomic step needs no more than its methods.
//
//   - Each method is one atomic step, and whatever it reports as done survives what the store promises to survive.
//   - Only durations cross the interface. The clock of the store decides, inside that step; if several processes use
//     the store, it is one clock for all of them.
//   - Methods may be called by several goroutines at once, and obey their context. One that returns an error may have done its work,
//     or do it later.
//   - A record outlives its lease: the fingerprint, the attempts and the fence of an owner that died are kept until retention ends.
type Store interface {
	// Begin claims a key, or says who holds it. To repeat it with the same token is safe: while nobody else has
	// claimed the key it gives the same grant, with a new lease.
	Begin(ctx context.Context, c Claim) (Grant, error)

	// Extend makes the lease of the owner last for lease from now. 0 ends it, without an outcome.
	// It returns [ErrLost] if the token is not that of the owner any more, or after a Release. After a Finish it does nothing. A
	// lease that has lapsed may be extended while nobody else has claimed the key.
	Extend(ctx context.Context, key, token string, lease time.Duration) error

	// Finish stores the outcome of the owner's call, for keep from now. The first one wins: the owner may repeat it, to no further
	// effect. It returns [ErrLost] for anyone else. One that is late is accepted while nobody else has claimed the key.
	Finish(ctx context.Context, key, token string, o Outcome, keep time.Duration) error

	// Release says that the owner's call did nothing, so that the next who comes makes it, and need not be told of an
	// earlier one. But what the owner was told of as Recovered is as unknown as before. The owner may repeat it. It returns [ErrLost] for anyone else, and after a Finish.
	Release(ctx context.Context, key, token string) error
}

// A Claim is what is asked of a [Store] for a key.
type Claim struct {
	Key         string        // 64 hex characters, which the guard makes
	Token       string        // of who claims it, at most 64 characters, different each time
	Fingerprint string        // of what is asked for, 64 hex characters; if this or that of the record is empty, any matches
	Lease       time.Duration // for how long the claim holds unless it is extended
	Keep        time.Duration // retention, longer than the lease: for how long the key is remembered if nothing further is heard

	// RefuseUnknown says that a key whose owner is gone without an outcome is not to be claimed: the grant is Unknown.
	RefuseUnknown bool
}

// A Grant is the answer of a [Store] to a [Claim].
type Grant struct {
	Status Status

	// Of Acquired:
	Fence     uint64 // grows with each claim of the key
	Attempt   int    // how often the key was claimed, this time included
	Recovered bool   // an earlier owner is gone, and nobody knows what it did

	LeaseLeft time.Duration // of Busy: how long the owner has left unless it extends
	Outcome   Outcome       // of Done
}

// A Status says what became of a [Claim].
type Status uint8

const (
	Acquired Status = iota + 1 // the key is the claimant's
	Busy                       // its owner is at work
	Done                       // its outcome is stored
	Mismatch                   // it was used for something else
	Unknown                    // its owner is gone without an outcome, and RefuseUnknown is set
)

// String returns the status in one word, or "none" for the zero value.
func (s Status) String() string {
	switch s {
	case Acquired:
		return "acquired"
	case Busy:
		return "busy"
	case Done:
		return "done"
	case Mismatch:
		return "mismatch"
	case Unknown:
		return "unknown"
	}
	return "none"
}

// An Outcome is what a call came to, as the guard encodes it. Stores give it back as they got it, to the byte.
type Outcome []byte
