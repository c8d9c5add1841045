package lab

import (
	"context"
	"sync/atomic"
	"time"
)

// A Request is one arrival.
type Request struct {
	N     uint64        // its ordinal in the run, from 0 on; the same for the system and its control
	Due   time.Duration // since the beginning of the warm-up
	Phase Phase
}

// A Call makes one request to what is tested. It is called by many goroutines at
// once. An error and a panic count as a failure, and so does a call that has not
// returned when the run ends.
//
// Its ctx ends with the run. It carries a [steady.Source] that depends on the run's
// seed and the request's ordinal alone, so that the policies of the system draw the
// same in every run of that seed, and as those of its control.
type Call func(ctx context.Context, r Request) error

// A request is a request under way. It is the context of its own call, and the source
// of the draws in it.
type request struct {
	context.Context
	arm      *arm
	n        uint64
	due      time.Duration
	phase    int
	record   *record
	returned bool
}

type requestKey struct{}

func (r *request) Value(key any) any {
	if key == (requestKey{}) {
		return r
	}
	return r.Context.Value(key)
}

// Float64 makes a request the source of the draws of its call.
func (r *request) Float64(key string, n uint64) float64 {
	return draw(r.arm.run.e.Seed, r.n+1, key, n)
}

// requestOf returns the request that ctx belongs to, or nil.
func requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

// A record is what is kept of a request.
type record struct {
	due   time.Duration // as the load says
	state atomic.Uint64 // a status, with what belongs to it
}

func (r *record) pending() bool { return status(r.state.Load()).how() == pending }

// The ways in which a request ends.
const (
	pending  = iota
	answered // without an error
	failed
	overflown
)

const (
	statusBits = 2
	phaseBits  = 2
	kindBits   = 12
	kindShift  = statusBits + phaseBits
	timeShift  = kindShift + kindBits
	maxLatency = 1<<(64-timeShift) - 1 // three days
)

// A status packs what is known of a request.
type status uint64

func newStatus(how, phase int, kind uint16, latency time.Duration) status {
	return status(uint64(how) | uint64(phase)<<statusBits | uint64(kind)<<kindShift |
		uint64(min(max(latency, 0), maxLatency))<<timeShift)
}

func (s status) how() int               { return int(s & (1<<statusBits - 1)) }
func (s status) phase() int             { return int(s >> statusBits & (1<<phaseBits - 1)) }
func (s status) kind() uint16           { return uint16(s >> kindShift & (1<<kindBits - 1)) }
func (s status) latency() time.Duration { return time.Duration(s >> timeShift) }
