package steady_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/retry"
)

// A fleet of ten nodes gets 200 calls a second for three minutes, while two of them
// fail at any time: another two every few seconds. A breaker whose node is well
// again must not keep the place of one that fails now, or the retries for that
// empty the budget.
func TestAFleetHoldsWhileFailuresMoveFromNodeToNode(t *testing.T) {
	for _, stays := range []time.Duration{2 * time.Second, 8 * time.Second, 30 * time.Second} {
		t.Run(stays.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var nodes []string
				for i := range 10 {
					nodes = append(nodes, fmt.Sprint(i))
				}
				group := breaker.MustNewGroup(breaker.GroupConfig{Peers: &breaker.Peers{}})
				again := retry.MustNew(retry.Config{})
				start := time.Now()
				fails := func(node string) bool {
					pair := int(time.Since(start)/stays) % 5
					return slices.Contains(nodes[2*pair:2*pair+2], node)
				}
				var failed, attempts atomic.Int64
				var calls sync.WaitGroup
				const total = 40_000
				for range total {
					calls.Go(func() {
						var tried []string
						err := again.Do(t.Context(), func(ctx context.Context) error {
							node, permit, err := group.Pick(ctx, nodes, tried)
							if err != nil {
								return err
							}
							tried = append(tried, node)
							return permit.Do(ctx, func(context.Context) error {
								attempts.Add(1)
								time.Sleep(time.Millisecond)
								if fails(node) {
									return errBoom
								}
								return nil
							})
						})
						if err != nil {
							failed.Add(1)
						}
					})
					time.Sleep(5 * time.Millisecond)
				}
				calls.Wait()
				availability := 1 - float64(failed.Load())/total
				perCall := float64(attempts.Load()) / total
				t.Logf("availability %.5f, attempts a call %.3f", availability, perCall)
				require.GreaterOrEqual(t, availability, 0.999)
				require.LessOrEqual(t, perCall, 1.1)
			})
		})
	}
}
