package bulkhead_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/steadytest"
)

func TestEndings(t *testing.T) {
	t.Run("free", func(t *testing.T) {
		steadytest.TestPolicy(t, steadytest.Subject{New: func(_ *testing.T, h steady.Hook) (steady.Policy, func() any) {
			b := bulkhead.MustNew(bulkhead.Config{Limit: 2, Hook: h})
			return b, held(b)
		}})
	})
	t.Run("queued", func(t *testing.T) {
		steadytest.TestPolicy(t, steadytest.Subject{New: func(_ *testing.T, h steady.Hook) (steady.Policy, func() any) {
			b := bulkhead.MustNew(bulkhead.Config{Limit: 2, Queue: 1000, MaxWait: time.Minute, Hook: unmarked(h)})
			return queued{b}, held(b)
		}})
	})
	t.Run("full", func(t *testing.T) {
		steadytest.TestPolicy(t, steadytest.Subject{Refuses: true, New: func(t *testing.T, h steady.Hook) (steady.Policy, func() any) {
			b := bulkhead.MustNew(bulkhead.Config{Limit: 1, Hook: h})
			_, err := b.Acquire(t.Context())
			require.NoError(t, err)
			return b, held(b)
		}})
	})
}

// held returns what b holds, without what its hook did.
func held(b *bulkhead.Bulkhead) func() any {
	return func() any {
		s := b.Stats()
		s.HookPanics = 0
		return s
	}
}

// queued is a bulkhead that is full whenever a call comes, for 100 ms.
type queued struct{ *bulkhead.Bulkhead }

func (q queued) Do(ctx context.Context, call func(context.Context) error) error {
	for range q.Stats().Limit {
		if p, err := q.TryAcquire(context.WithValue(ctx, mark{}, true)); err == nil {
			time.AfterFunc(100*time.Millisecond, p.Release)
		}
	}
	return q.Bulkhead.Do(ctx, call)
}

// mark is a context key of what the hook shall not hear of.
type mark struct{}

func unmarked(h steady.Hook) steady.Hook {
	return steady.HookFunc(func(ctx context.Context, e steady.Event) {
		if ctx.Value(mark{}) == nil {
			h.On(ctx, e)
		}
	})
}
