package steadyredis_test

import (
	"os"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	steadyredis "github.com/steady-go/steady/contrib/redis"
	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/idempotency/storetest"
)

func TestMain(m *testing.M) {
	storetest.Main(func(address string) (idempotency.Store, error) {
		return steadyredis.NewIdempotencyStore(steadyredis.IdempotencyConfig{
			Client: redis.NewClient(&redis.Options{Addr: address, ContextTimeoutEnabled: true}),
		})
	})
	os.Exit(m.Run())
}

func TestCrashes(t *testing.T) {
	s := startRedis(t, durable...)
	storetest.TestCrashes(t, storetest.Crashes{Source: s.address, Shared: true, Restart: func() error {
		s.kill()
		return s.start()
	}})
	require.NotEmpty(t, s.admin.Keys(t.Context(), "*").Val())
}
