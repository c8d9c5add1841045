package bulkhead

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Between its first try and its place in the queue a permit may come free.
func TestWhoFindsAPermitOnTheWayIntoTheQueueTakesIt(t *testing.T) {
	b := MustNew(Config{Limit: 1, Queue: 1, MaxWait: time.Second})
	waited, err := b.wait(t.Context())
	require.NoError(t, err)
	require.Zero(t, waited)
	require.Equal(t, Stats{Limit: 1, InFlight: 1}, b.Stats())
	b.release()
	require.Equal(t, Stats{Limit: 1}, b.Stats())
}

// When a permit comes for one who has just been cancelled, it goes to the next.
func TestAPermitForWhoHasGoneGoesToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := MustNew(Config{Limit: 1, Queue: 2, MaxWait: time.Minute})
		for range 100 { // either may come first
			first, err := b.Acquire(t.Context())
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			gone, served := make(chan error, 1), make(chan error, 1)
			go func() { gone <- b.Do(ctx, func(context.Context) error { t.Error("started"); return nil }) }()
			synctest.Wait()
			go func() { served <- b.Do(t.Context(), func(context.Context) error { return nil }) }()
			synctest.Wait()
			cancel()
			first.Release()
			require.ErrorIs(t, <-gone, context.Canceled)
			require.NoError(t, <-served)
			require.Equal(t, Stats{Limit: 1}, b.Stats())
		}
	})
}

func TestPaceIsAMovingAverage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 2
		var p pace
		p.note(1, limit)
		require.Zero(t, p.expect(1, limit), "one grant is no pace")
		time.Sleep(80 * time.Millisecond)
		p.note(1, limit)
		require.Zero(t, p.expect(1, limit), "calls that start together end together: not before each permit was granted")
		p.note(1, limit)
		require.Equal(t, 40*time.Millisecond, p.expect(1, limit))
		require.Equal(t, 120*time.Millisecond, p.expect(3, limit))
		time.Sleep(30 * time.Millisecond)
		require.Equal(t, 90*time.Millisecond, p.expect(3, limit), "part of the wait for the next grant is over")
		time.Sleep(30 * time.Millisecond)
		require.Equal(t, 80*time.Millisecond, p.expect(3, limit), "it is overdue")
		p.note(0, limit)
		require.Zero(t, p.expect(1, limit), "the queue has gone")

		for range 1000 {
			p.note(1, limit)
			time.Sleep(time.Second)
		}
		for range 100 {
			p.note(1, limit)
			time.Sleep(time.Millisecond)
		}
		require.Less(t, p.expect(1, limit), 100*time.Millisecond, "it forgets")
	})
}

// Ten calls that start together end together, so permits come in bursts. A caller
// with time enough for its turn must not be refused by a pace that was taken in the
// gap between two of them.
// Planted: queue.go: a moving average over eight grants, which a burst sets to 0 and
// the gap after it to a second, in place of turns of all permits → 10 refused.
func TestNobodyWithTimeEnoughIsRefusedForBursts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := MustNew(Config{Limit: 10, Queue: 100, MaxWait: NoMaxWait})
		var refused atomic.Int64
		random := rand.New(rand.NewPCG(1, 1))
		call := func(patience, takes time.Duration) {
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if b.Do(ctx, func(context.Context) error { time.Sleep(takes); return nil }) != nil {
					refused.Add(1)
				}
			}()
		}
		for range 30 { // a wait of two seconds to begin with
			call(time.Hour, time.Second)
		}
		for range 300 { // and then as many as are served
			time.Sleep(100 * time.Millisecond)
			call(4*time.Second, time.Second+time.Duration(random.IntN(1000))*time.Microsecond)
		}
		time.Sleep(time.Minute)
		require.Zero(t, refused.Load())
		require.Equal(t, Stats{Limit: 10}, b.Stats())
	})
}

// oddContext is done, but does not say so.
type oddContext struct{ context.Context }

func (oddContext) Err() error { return nil }

func TestAnOddContextTakesNoPermitThatItDoesNotHave(t *testing.T) {
	b := MustNew(Config{Limit: 1, Queue: 1, MaxWait: time.Hour})
	p, err := b.Acquire(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, b.Do(oddContext{ctx}, func(context.Context) error { return nil }), ErrMaxWait)
	require.Equal(t, 1, b.Stats().InFlight)
	p.Release()
	require.Zero(t, b.Stats().InFlight)
}

// A refusal takes the lock only where somebody may wait.
func TestAFullBulkheadKnowsWithoutItsLock(t *testing.T) {
	b := MustNew(Config{Limit: 2})
	require.True(t, b.try())
	require.False(t, b.refuses.Load())
	require.True(t, b.try())
	require.True(t, b.refuses.Load(), "full")
	require.NoError(t, b.SetLimit(3))
	require.False(t, b.refuses.Load(), "a permit more")
	require.NoError(t, b.SetLimit(1))
	require.True(t, b.refuses.Load())
	b.release()
	require.True(t, b.refuses.Load(), "still as many as the limit")
	b.release()
	require.False(t, b.refuses.Load())
	b = MustNew(Config{Limit: 1, Queue: 1, MaxWait: time.Second})
	require.True(t, b.try())
	require.False(t, b.refuses.Load(), "one may wait")
}

// paced returns a full bulkhead with two waiters, whose pace is 100 ms, just after
// a grant.
func paced(t *testing.T, leave context.Context) *Bulkhead {
	b := MustNew(Config{Limit: 1, Queue: 10, MaxWait: time.Hour})
	takes := func(d time.Duration) {
		go func() {
			ctx := t.Context()
			if d == 0 {
				ctx = leave
			}
			_ = b.Do(ctx, func(context.Context) error { time.Sleep(d); return nil })
		}()
		synctest.Wait()
	}
	takes(100 * time.Millisecond)
	takes(100 * time.Millisecond)
	takes(time.Hour)
	takes(0)
	takes(0)
	time.Sleep(200 * time.Millisecond)
	synctest.Wait()
	require.Equal(t, 2, b.queue.Len())
	require.Equal(t, 100*time.Millisecond, b.pace.expect(1, 1))
	return b
}

func TestWhoHasJustTheTimeIsLetIntoTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leave, cancel := context.WithCancel(t.Context())
		b := paced(t, leave)
		_, refused := b.join(time.Now().Add(300*time.Millisecond-1), true)
		require.Equal(t, b.late, refused)
		place, refused := b.join(time.Now().Add(300*time.Millisecond), true)
		require.Nil(t, refused)
		require.False(t, b.quit(place))
		_, refused = b.join(time.Time{}, false)
		require.Nil(t, refused, "who has no deadline has time")
		cancel()
		time.Sleep(time.Hour)
	})
}

// Not only grants empty a queue: when the last of those who wait gives up, the pace
// is forgotten too.
func TestThePaceIsForgottenWhenAllHaveGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leave, cancel := context.WithCancel(t.Context())
		b := paced(t, leave)
		place, _ := b.join(time.Time{}, false)
		b.quit(place)
		require.NotZero(t, b.pace.grants, "others still wait")
		cancel()
		synctest.Wait()
		require.Zero(t, b.queue.Len())
		require.Equal(t, pace{}, b.pace)
		time.Sleep(time.Hour)
	})
}
