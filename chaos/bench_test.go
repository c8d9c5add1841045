package chaos_test

import (
	"context"
	"testing"
	"time"

	"github.com/steady-go/steady/chaos"
)

func BenchmarkDo(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	unarmed := chaos.MustNew(chaos.Config{})
	rare := chaos.MustNew(chaos.Config{Faults: []chaos.Fault{{Name: "down", Effect: chaos.Error(nil), Rate: 1e-12}}})
	if err := rare.Arm(24 * time.Hour); err != nil {
		b.Fatal(err)
	}
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			_ = fixed(ctx)
		}
	})
	b.Run("unarmed", func(b *testing.B) {
		for b.Loop() {
			_ = unarmed.Do(ctx, fixed)
		}
	})
	b.Run("armed, not hit", func(b *testing.B) {
		for b.Loop() {
			_ = rare.Do(ctx, fixed)
		}
	})
}

// What an injector that is not armed costs on top of the call, from the shortest of many short
// rounds of either, taken by turns: other work on the machine makes rounds longer, not shorter.
func BenchmarkUnarmedOverBareCall(b *testing.B) {
	cancelable, cancel := context.WithCancel(context.Background())
	defer cancel()
	for name, ctx := range map[string]context.Context{"background": context.Background(), "cancelable": cancelable} {
		b.Run(name, func(b *testing.B) {
			const calls = 2000
			unarmed := chaos.MustNew(chaos.Config{})
			bare, guarded := time.Hour, time.Hour
			for b.Loop() {
				start := time.Now()
				for range calls {
					_ = fixed(ctx)
				}
				middle := time.Now()
				for range calls {
					_ = unarmed.Do(ctx, fixed)
				}
				bare, guarded = min(bare, middle.Sub(start)), min(guarded, time.Since(middle))
			}
			b.ReportMetric(float64(bare)/calls, "ns-bare")
			b.ReportMetric(float64(guarded-bare)/calls, "ns-over")
		})
	}
}
