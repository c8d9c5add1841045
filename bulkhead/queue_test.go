package bulkhead

import (
	"context"
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
		var p pace
		p.note(1)
		require.Zero(t, p.expect(1), "one grant is no pace")
		time.Sleep(80 * time.Millisecond)
		p.note(1)
		require.Equal(t, 80*time.Millisecond, p.expect(1))
		require.Equal(t, 240*time.Millisecond, p.expect(3))
		time.Sleep(30 * time.Millisecond)
		require.Equal(t, 210*time.Millisecond, p.expect(3), "part of the wait for the next grant is over")
		time.Sleep(90 * time.Millisecond)
		require.Equal(t, 160*time.Millisecond, p.expect(3), "it is overdue")
		time.Sleep(40 * time.Millisecond)
		p.note(2)
		require.Equal(t, 90*time.Millisecond, p.expect(1), "an eighth of the way from 80 to 160")
		p.note(0)
		require.Zero(t, p.expect(1), "the queue has gone")
	})
}
