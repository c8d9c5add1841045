package refusal_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/refusal"
)

func TestARefusalIsARejection(t *testing.T) {
	full := errors.New("pkg: full")
	var err error = refusal.New("pkg", "db", full)
	require.EqualError(t, err, "pkg: full (db)")
	require.EqualError(t, refusal.New("pkg", "", full), "pkg: full")
	require.ErrorIs(t, err, full)
	require.NotErrorIs(t, err, errors.New("pkg: full"))

	r, ok := steady.AsRejection(fmt.Errorf("x: %w", err))
	require.True(t, ok)
	policy, name, key := r.RejectedBy()
	require.Equal(t, []string{"pkg", "db", ""}, []string{policy, name, key})
	_, known := r.RetryAfter()
	require.False(t, known)
}
