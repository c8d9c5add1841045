package steadyotel_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/steadyotel"
)

// Planted: hook.go: no result of a rejection, or no case for the policy; idempotency.go: a duration of a replay, none of a run → red.
func TestRequestsToAGuardAreCountedByWhatBecameOfThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, collect := metered(t, steadyotel.Config{})
		g := idempotency.MustNew(idempotency.Config{Name: "orders", OnUnknown: idempotency.Rerun, Wait: 3 * time.Second, Hook: h})
		do := func(key, fingerprint string, takes time.Duration, err error) {
			_, _, _ = idempotency.Do(t.Context(), g, key, fingerprint, func(context.Context) (int, error) {
				time.Sleep(takes)
				return 1, err
			})
		}
		do("a", "", time.Second, nil)
		do("a", "", time.Second, nil)
		do("a", "", time.Second, nil)
		do("b", "1", 2*time.Second, errors.New("boom"))
		do("b", "2", time.Second, nil)
		do("b", "1", 4*time.Second, nil)
		go do("c", "", time.Minute, nil)
		synctest.Wait()
		do("c", "", 0, nil) // waits for 3 s, in vain
		m := collect()
		require.Equal(t, map[string]float64{
			"idempotency/orders/result=run": 1, "idempotency/orders/result=replayed": 2, "idempotency/orders/result=left unknown": 1,
			"idempotency/orders/result=mismatch": 1, "idempotency/orders/result=recovered": 1, "idempotency/orders/result=in flight": 1,
		}, m.points("steady.idempotency.requests"))
		require.Equal(t, map[string]int{
			"idempotency/orders/outcome=success": 2, "idempotency/orders/error.type=_OTHER/outcome=failure": 1,
		}, m.counts("steady.call.duration"), "of calls that were made")
		require.Equal(t, map[string]float64{"idempotency/orders/reason=mismatch": 1, "idempotency/orders/reason=in flight": 1}, m.points("steady.call.rejections"))
		require.Equal(t, map[string]float64{"idempotency/orders": 3}, m.points("steady.queue.wait"))
		for name, want := range map[string]float64{"steady.in_flight": 1, "steady.timeout.limit": 600, "steady.cache.entries": 3, "steady.cache.entries.limit": 100_000} {
			require.Equal(t, map[string]float64{"idempotency/orders": want}, m.points(name), name)
		}
		require.Empty(t, m.counts("steady.retry.attempts"))
		time.Sleep(time.Minute)
		require.EqualValues(t, 2, collect().points("steady.idempotency.requests")["idempotency/orders/result=run"])
	})
}

// What a result may be is said by package idempotency, and not known here.
func TestResultsAreBounded(t *testing.T) {
	h, collect := metered(t, steadyotel.Config{})
	for n := range 1000 {
		h.On(t.Context(), steady.Event{Kind: steady.KindDone, Policy: "idempotency", Name: "orders", Outcome: steady.Success, Reason: fmt.Sprint(n)})
	}
	points := collect().points("steady.idempotency.requests")
	require.Len(t, points, 101)
	require.EqualValues(t, 1000-100, points["idempotency/orders/result=_OTHER"], "nothing is lost")
}
