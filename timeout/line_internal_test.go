package timeout

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// due returns a context in l that ends after d.
func due(t *testing.T, l *line, d time.Duration) *limited {
	c := &limited{caller: t.Context(), deadline: time.Now().Add(d), lined: true}
	c.real, c.stop = context.WithCancel(t.Context())
	l.join(c)
	return c
}

func TestALineEndsEachContextWhenItIsDue(t *testing.T) {
	// Two clocks that were read in another order than the line was joined in; one that
	// is late already; one that leaves; one that comes when the timer is set for one that
	// has left.
	for name, in := range map[string][]time.Duration{
		"in order":     {1, 2, 3, 4, 5},
		"in disorder":  {3, 5, 1, 4, 2},
		"at once":      {2, 2, 2, 1, 1},
		"late already": {4, -1, 3, 0, 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l line
				start := time.Now()
				for i, d := range in {
					c := due(t, &l, d*time.Second)
					if i == 2 {
						l.leave(c)
						l.leave(c) // as a call does that ends just when it has expired
						continue
					}
					go func() {
						<-c.real.Done()
						require.True(t, c.expired())
						require.Equal(t, max(d, 0)*time.Second, time.Since(start))
					}()
				}
				synctest.Wait()
				time.Sleep(10 * time.Second)
				l.mu.Lock()
				defer l.mu.Unlock()
				require.Nil(t, l.first)
				require.Nil(t, l.last)
				require.False(t, l.set, "nobody waits")
			})
		})
	}
}

func TestALineIsNotWokenForEachOfItsContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l line
		first := due(t, &l, time.Second)
		l.leave(first)
		for range 500 {
			l.leave(due(t, &l, time.Second))
			time.Sleep(time.Millisecond)
		}
		last := due(t, &l, time.Second)
		l.mu.Lock()
		require.Equal(t, first.deadline, l.due, "the timer is still the one that was set for the first")
		l.mu.Unlock()
		start := time.Now()
		<-last.real.Done()
		require.Equal(t, time.Second, time.Since(start))
	})
}

// Who joins late walks past those who came before: a thousand who do so must not walk
// past each other.
func TestALineIsJoinedNearItsEndOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l line
		for range far {
			due(t, &l, 2*time.Second)
		}
		near := &limited{deadline: time.Now().Add(time.Second)}
		require.True(t, l.join(near))
		due(t, &l, 2*time.Second)
		require.False(t, l.join(&limited{deadline: time.Now().Add(time.Second)}))
		l.leave(near)
		time.Sleep(10 * time.Second)
	})
}

// Without the key of package context, every context derived from ours would cost a
// goroutine.
func TestTheKeyOfPackageContextIsKnown(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	require.Equal(t, ctx, ctx.Value(cancelKey))
}
