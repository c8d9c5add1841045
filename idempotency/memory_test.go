package idempotency_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/idempotency/storetest"
)

func newMemory(t testing.TB, c idempotency.MemoryConfig) *idempotency.MemoryStore {
	t.Helper()
	s, err := idempotency.NewMemoryStore(c)
	require.NoError(t, err)
	return s
}

func TestMemoryStoreConforms(t *testing.T) {
	storetest.TestStore(t, func(t *testing.T) func() idempotency.Store {
		s := newMemory(t, idempotency.MemoryConfig{})
		return func() idempotency.Store { return s }
	})
}
