package steadyredis

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/steady-go/steady"
)

// An entry is one string of Redis. Its first byte is its kind. A lease has its token next, the other
// kinds the time of Redis when they were stored, 16 digits of microseconds, and then the encoded value.
const (
	kindLease    = "l"
	kindValue    = "v"
	kindNegative = "n"
	kindPass     = "p" // the last load brought what cannot be stored: there is nothing to wait for
)

// What a look-up finds besides entries.
const (
	ours   = "ours" // our lease, which is new
	theirs = "theirs"
)

// What fill does when the lease is gone.
const (
	orLeave = "or leave"
	orDrop  = "or drop"
)

// The scripts. Each names one key, its KEYS[1]. All can be repeated, which the client does when it has
// lost an answer: a second run meets the token that the first has set. Whatever else is under a key, and is a string, is no
// entry, and overwritten.
var (
	// lookUp returns the entry, with its age in microseconds, or sets the lease ARGV[1] of ARGV[2]
	// milliseconds. An entry of the time ARGV[3] is taken for none.
	lookUp = redis.NewScript(`
local entry = redis.call('GET', KEYS[1])
if entry then
	local kind, at = string.sub(entry, 1, 1), string.sub(entry, 2, 17)
	if kind == 'l' and #entry == #ARGV[1] + 1 then
		if string.sub(entry, 2) == ARGV[1] then return {'ours'} end
		return {'theirs'}
	end
	if (kind == 'v' or kind == 'n' or kind == 'p') and at ~= ARGV[3] and #at == 16 and not string.find(at, '%D') then
		local now = redis.call('TIME')
		local age = now[1] * 1000000 + now[2] - at
		return {kind, at, string.format('%.0f', math.max(age, 0)), string.sub(entry, 18)}
	end
end
redis.call('SET', KEYS[1], 'l' .. ARGV[1], 'PX', ARGV[2])
return {'ours'}`)

	// take sets the lease ARGV[1] of ARGV[2] milliseconds in place of whatever there is.
	take = redis.NewScript(`
redis.call('SET', KEYS[1], 'l' .. ARGV[1], 'PX', ARGV[2])
return {'done'}`)

	// fill puts an entry of the kind ARGV[2] and the value ARGV[3], for ARGV[4] milliseconds, in the place of
	// the lease ARGV[1]. If that is gone it leaves what there is, or drops it if ARGV[5] says so.
	fill = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= 'l' .. ARGV[1] then
	if ARGV[5] == 'or drop' then redis.call('DEL', KEYS[1]) end
	return {'gone'}
end
local now = redis.call('TIME')
local at = string.format('%016.0f', now[1] * 1000000 + now[2])
redis.call('SET', KEYS[1], ARGV[2] .. at .. ARGV[3], 'PX', ARGV[4])
return {'done'}`)

	// release drops the lease ARGV[1], if it is still there.
	release = redis.NewScript(`
if redis.call('GET', KEYS[1]) == 'l' .. ARGV[1] then redis.call('DEL', KEYS[1]) end
return {'done'}`)
)

// run runs a script on the key, within Timeout.
func (t *Tier[V]) run(ctx context.Context, s *redis.Script, key string, args ...any) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	return s.Run(ctx, t.client, []string{t.prefix + key}, args...).StringSlice()
}

// guarded runs a script under Guard.
func (t *Tier[V]) guarded(ctx context.Context, s *redis.Script, key string, args ...any) ([]string, error) {
	return steady.DoValue(ctx, t.guard, func(ctx context.Context) ([]string, error) {
		return t.run(ctx, s, key, args...)
	})
}

// A reply is what a look-up has found.
type reply struct {
	kind  string // of the entry, or ours or theirs
	at    string
	age   time.Duration
	value string
}

// ask looks a key up.
func (t *Tier[V]) ask(ctx context.Context, key, token, bad string) (reply, error) {
	r, err := t.guarded(ctx, lookUp, key, token, milliseconds(t.lease), bad)
	if err != nil {
		return reply{}, err
	}
	switch {
	case len(r) == 1 && (r[0] == ours || r[0] == theirs):
		return reply{kind: r[0]}, nil
	case len(r) == 4:
		if age, err := strconv.ParseInt(r[2], 10, 64); err == nil {
			return reply{kind: r[0], at: r[1], age: time.Duration(age) * time.Microsecond, value: r[3]}, nil
		}
	}
	return reply{}, fmt.Errorf("unknown reply %q", r)
}

// milliseconds is how Redis is told a time, which is not to be 0.
func milliseconds(d time.Duration) int64 { return max(d.Milliseconds(), 1) }
