package timeout_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/timeout"
)

// slowDone is a context that keeps whoever asks for its channel waiting, once it is
// told to: as if the goroutine were not scheduled for a while.
type slowDone struct {
	context.Context
	slow bool
}

func (s *slowDone) Done() <-chan struct{} {
	if s.slow {
		time.Sleep(time.Second)
	}
	return s.Context.Done()
}

// In Abandon mode a call used to end its context before it told its caller that it
// was over. The caller took the end of the context for that of the limit, and left
// if the call's goroutine was not scheduled again within the grace: a success came
// back as context.DeadlineExceeded, with nobody's deadline passed.
func TestACallThatHasEndedIsNotAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := timeout.MustNew(timeout.Config{Limit: time.Hour, Abandon: true})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		caller := &slowDone{Context: ctx}
		err := p.Do(caller, func(ctx context.Context) error {
			_ = ctx.Done()
			time.Sleep(time.Millisecond)
			caller.slow = true
			return nil
		})
		require.NoError(t, err)
		require.Zero(t, p.Stats().AbandonedSoFar)
	})
}
