package check_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/internal/check"
)

func TestFaultsAreToldTogetherInOrder(t *testing.T) {
	f := check.Config("pkg: Config")
	require.NoError(t, f.Err())
	f.Require(true, "Fine", "be fine", 1)
	f.Join(nil)
	require.NoError(t, f.Err())

	inner := errors.New("of a part")
	f.Require(false, "A", "be >= 0", -1)
	f.Join(inner)
	f.Require(false, "B", "be set", "")
	require.EqualError(t, f.Err(), "pkg: Config.A must be >= 0, got -1\nof a part\npkg: Config.B must be set, got ")
	require.ErrorIs(t, f.Err(), inner)
}

func TestMust(t *testing.T) {
	require.Equal(t, 7, check.Must(7, nil))
	fault := errors.New("fault")
	require.PanicsWithValue(t, fault, func() { check.Must(7, fault) })
}
