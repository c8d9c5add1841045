package steadyredis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/internal/check"
)

// IdempotencyConfig is the configuration of an [IdempotencyStore]. Client is required.
type IdempotencyConfig struct {
	// Client is a client of Redis, or of a cluster. It stays the caller's to close. Its ContextTimeoutEnabled must be true, as in
	// [Config]. A [redis.Ring] is refused: while a server is down it asks another one for the keys, which knows nothing of them. A client of
	// another type is taken as it is.
	Client redis.UniversalClient

	// Prefix begins the names of all keys in Redis. Empty means "steady:idempotency:". Guards may share one, since each has a Scope.
	Prefix string

	// Timeout is how long one operation of Redis may take, unless its context ends earlier. 0 means 1 s: longer than a disk that is
	// busy takes to have written, and short enough for three tries to store an outcome. An end of the context that is no
	// deadline may go unseen for as long.
	Timeout time.Duration
}

// Why these, see [IdempotencyConfig].
const (
	defaultIdempotencyPrefix  = "steady:idempotency:"
	defaultIdempotencyTimeout = time.Second
)

// An IdempotencyStore is an [idempotency.Store] in Redis, one hash for each key. It is made by [NewIdempotencyStore], may be used by several goroutines, and by
// any number of processes with the same Prefix. It starts no goroutine, and needs no closing. All times are those of Redis.
//
// # What Redis must be told
//
// Whatever Redis forgets within retention is a call that is made again. So it needs, in its own configuration:
//
//	maxmemory-policy noeviction    a key that is evicted is a call made again
//	appendonly yes                 without it, a restart forgets everything,
//	appendfsync always             and with everysec the last second or two
//
// Such a server keeps what it has acknowledged when its process is killed, and as far as its disk keeps what it confirms, when the power fails. A
// Redis that is full refuses new claims, and also outcomes and extensions of calls under way, which end as unknown: watch its memory.
//
// A failover loses acknowledged writes, in a cluster and with Sentinel alike, for replication is asynchronous: a call that was made may be made
// again, and two owners may be at work. WAIT does not change that: it tells how many replicas have a write, but keeps none
// without it from being made the master. A restore from a backup loses what came after that. Where this must not happen, use contrib/sql.
//
// The clock of the server must not jump, nor differ much between a master and its replicas: forward it ends leases and retention early, backward late.
//
// Redis 5 or later is needed.
type IdempotencyStore struct {
	client  redis.UniversalClient
	prefix  string
	timeout time.Duration
}

var _ idempotency.Store = (*IdempotencyStore)(nil)

// NewIdempotencyStore returns a store, or an error that names every fault of c. It does not call Redis, which may be down.
func NewIdempotencyStore(c IdempotencyConfig) (*IdempotencyStore, error) {
	_, ring := c.Client.(*redis.Ring)
	f := check.Config("steadyredis: IdempotencyConfig")
	f.Require(!check.IsNil(c.Client), "Client", "be set", c.Client)
	f.Require(obeysContexts(c.Client), "Client", "have ContextTimeoutEnabled", false)
	f.Require(!ring, "Client", "keep each key on one server", "a ring")
	f.Require(c.Timeout >= 0, "Timeout", "be >= 0", c.Timeout)
	if err := f.Err(); err != nil {
		return nil, err
	}
	return &IdempotencyStore{
		client:  c.Client,
		prefix:  valueOr(c.Prefix, defaultIdempotencyPrefix),
		timeout: valueOr(c.Timeout, defaultIdempotencyTimeout),
	}, nil
}

// MustNewIdempotencyStore is like [NewIdempotencyStore] but panics on an error.
func MustNewIdempotencyStore(c IdempotencyConfig) *IdempotencyStore {
	return check.Must(NewIdempotencyStore(c))
}

// The scripts do what idempotency.Record does, by the same names. Times are microseconds, and so are durations; numbers are formatted with
// %.0f, since Lua has only doubles, which are exact up to the end of time here, and its own conversion keeps 14 digits.
//
// The client sends a script again when it has lost the answer, and a copy that was given up may still arrive later. Begin finds its own token
// then, Finish the outcome, and Release and Extend do the same as before. The worst that a late copy of Begin or Extend does is to claim the key
// for nobody, after the Release or the last Extend of its owner: until the lease has passed, and then as unknown.
const (
	// readRecord leaves the record in locals. Of a key that is not there, keep is false.
	readRecord = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local state, token, fingerprint, fence, attempt, recovered, lease, keep = unpack(redis.call('HMGET', KEYS[1],
	'state', 'token', 'fingerprint', 'fence', 'attempt', 'recovered', 'lease', 'keep'))
local there = keep and now < tonumber(keep)
local function after(duration) return math.min(now + duration, 9007199254740991) end
local function number(n) return string.format('%.0f', n) end
`

	// refuseOthers ends a script unless the token ARGV[1] is that of the owner.
	refuseOthers = readRecord + `
if not there or token ~= ARGV[1] then return {'lost'} end
`

	// setExpiry has Redis drop the record at keep, or up to a millisecond later: what it has not dropped yet does not count either.
	setExpiry = `
redis.call('PEXPIREAT', KEYS[1], number(math.ceil(keep / 1000)))
`
)

var (
	// begin claims the key for the token ARGV[1], with the fingerprint ARGV[2], for the lease ARGV[3] and the retention ARGV[4]. ARGV[5] says
	// what of an unknown.
	begin = redis.NewScript(readRecord + `
if not there then state, fingerprint, attempt = 'released', '', 0 end
if fingerprint ~= '' and ARGV[2] ~= '' and fingerprint ~= ARGV[2] then return {'mismatch'} end
if state == 'finished' then return {'done', redis.call('HGET', KEYS[1], 'outcome')} end
if state ~= 'claimed' or token ~= ARGV[1] then
	if state == 'claimed' and now < tonumber(lease) then return {'busy', number(lease - now)} end
	if state == 'claimed' and ARGV[5] == 'refuse' then return {'unknown'} end
	fence = number(math.max((fence or 0) + 1, now))
	attempt = number(attempt + 1)
	recovered = state == 'claimed' and 'yes' or 'no'
end
if fingerprint == '' then fingerprint = ARGV[2] end
keep = after(ARGV[4])
redis.call('HSET', KEYS[1], 'state', 'claimed', 'token', ARGV[1], 'fingerprint', fingerprint, 'fence', fence, 'attempt', attempt,
	'recovered', recovered, 'lease', number(after(ARGV[3])), 'keep', number(keep))
redis.call('HDEL', KEYS[1], 'outcome')` + setExpiry + `
return {'acquired', fence, attempt, recovered}`)

	// extend makes the lease last for ARGV[2].
	extend = redis.NewScript(refuseOthers + `
if state == 'released' then return {'lost'} end
if state == 'finished' then return {'ok'} end
lease = after(ARGV[2])
keep = math.max(keep, lease)
redis.call('HSET', KEYS[1], 'lease', number(lease), 'keep', number(keep))` + setExpiry + `
return {'ok'}`)

	// finish stores the outcome ARGV[2] for ARGV[3].
	finish = redis.NewScript(refuseOthers + `
if state == 'released' then return {'lost'} end
if state == 'finished' then return {'ok'} end
keep = after(ARGV[3])
redis.call('HSET', KEYS[1], 'state', 'finished', 'outcome', ARGV[2], 'lease', number(now), 'keep', number(keep))` + setExpiry + `
return {'ok'}`)

	// letGo says that nothing was done, this time: what an earlier owner did is as unknown as before.
	letGo = redis.NewScript(refuseOthers + `
if state == 'finished' then return {'lost'} end
redis.call('HSET', KEYS[1], 'state', recovered == 'yes' and 'claimed' or 'released', 'lease', number(now))
return {'ok'}`)
)

// What begin is told of an unknown.
const (
	orRefuse = "refuse"
	orClaim  = "claim"
)

// Begin implements [idempotency.Store].
func (s *IdempotencyStore) Begin(ctx context.Context, c idempotency.Claim) (idempotency.Grant, error) {
	onUnknown := orClaim
	if c.RefuseUnknown {
		onUnknown = orRefuse
	}
	r, err := s.run(ctx, begin, "claim", c.Key, c.Token, c.Fingerprint, microseconds(c.Lease), microseconds(max(c.Keep, c.Lease)), onUnknown)
	if err != nil {
		return idempotency.Grant{}, err
	}
	g, err := grantOf(r)
	if err != nil {
		return idempotency.Grant{}, s.fault("claim", c.Key, err)
	}
	return g, nil
}

// grantOf reads the answer of begin.
func grantOf(r []string) (g idempotency.Grant, err error) {
	switch kind := r[0]; {
	case kind == "acquired" && len(r) == 4:
		g = idempotency.Grant{Status: idempotency.Acquired, Recovered: r[3] == "yes"}
		var wrongFence, wrongAttempt error
		g.Fence, wrongFence = strconv.ParseUint(r[1], 10, 64)
		g.Attempt, wrongAttempt = strconv.Atoi(r[2])
		return g, errors.Join(wrongFence, wrongAttempt)
	case kind == "busy" && len(r) == 2:
		left, err := strconv.ParseInt(r[1], 10, 64)
		return idempotency.Grant{Status: idempotency.Busy, LeaseLeft: time.Duration(left) * time.Microsecond}, err
	case kind == "done" && len(r) == 2:
		return idempotency.Grant{Status: idempotency.Done, Outcome: idempotency.Outcome(r[1])}, nil
	case kind == "mismatch":
		return idempotency.Grant{Status: idempotency.Mismatch}, nil
	case kind == "unknown":
		return idempotency.Grant{Status: idempotency.Unknown}, nil
	}
	return g, fmt.Errorf("unknown reply %q", r)
}

// Extend implements [idempotency.Store].
func (s *IdempotencyStore) Extend(ctx context.Context, key, token string, lease time.Duration) error {
	return s.change(ctx, extend, "extension", key, token, microseconds(lease))
}

// Finish implements [idempotency.Store].
func (s *IdempotencyStore) Finish(ctx context.Context, key, token string, o idempotency.Outcome, keep time.Duration) error {
	return s.change(ctx, finish, "outcome", key, token, []byte(o), microseconds(keep))
}

// Release implements [idempotency.Store].
func (s *IdempotencyStore) Release(ctx context.Context, key, token string) error {
	return s.change(ctx, letGo, "release", key, token)
}

// change runs a script that changes a record for its owner.
func (s *IdempotencyStore) change(ctx context.Context, script *redis.Script, what, key string, args ...any) error {
	r, err := s.run(ctx, script, what, key, args...)
	switch {
	case err != nil:
		return err
	case r[0] == "ok":
		return nil
	case r[0] == "lost":
		return idempotency.ErrLost
	}
	return s.fault(what, key, fmt.Errorf("unknown reply %q", r))
}

// run runs a script on the key, and returns its answer, which is not empty.
func (s *IdempotencyStore) run(ctx context.Context, script *redis.Script, what, key string, args ...any) ([]string, error) {
	if err := steady.ContextErr(ctx); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	r, err := script.Run(limited, s.client, []string{s.prefix + key}, args...).StringSlice()
	if err == nil && len(r) == 0 {
		err = errors.New("empty reply")
	}
	if err == nil {
		return r, nil
	}
	switch why := ended(ctx); {
	case why == nil && ended(limited) != nil:
		err = fmt.Errorf("no answer within %v: %w", s.timeout, err)
	case why != nil && !errors.Is(err, why):
		err = fmt.Errorf("%w: %w", why, err)
	}
	return nil, s.fault(what, key, err)
}

// fault says in an error what it is about.
func (s *IdempotencyStore) fault(what, key string, err error) error {
	return fmt.Errorf("steadyredis: %s of %q: %w", what, s.prefix+key, err)
}

// microseconds is how the scripts are told a duration: rounded up, so that nothing ends early.
func microseconds(d time.Duration) int64 {
	n := d.Microseconds()
	if d%time.Microsecond > 0 {
		n++
	}
	return n
}
