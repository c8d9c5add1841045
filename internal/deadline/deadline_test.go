package deadline_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/internal/deadline"
)

func TestIs(t *testing.T) {
	require.True(t, deadline.Is(context.DeadlineExceeded))
	require.True(t, deadline.Is(fmt.Errorf("read: %w", os.ErrDeadlineExceeded)))
	require.False(t, deadline.Is(errors.New("boom")))
	require.False(t, deadline.Is(context.Canceled))
	require.False(t, deadline.Is(nil))
}

func TestPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		require.False(t, deadline.Passed(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		time.Sleep(time.Second - time.Nanosecond)
		require.False(t, deadline.Passed(ctx))
		time.Sleep(time.Nanosecond)
		require.True(t, deadline.Passed(ctx))
	})
}
