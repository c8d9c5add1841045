package steadydebug_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/steadydebug"
)

func BenchmarkOn(b *testing.B) {
	p := steadydebug.MustNew(steadydebug.Config{})
	for n := range 20 {
		p.On(b.Context(), steady.Event{Kind: steady.KindDone, Policy: "breaker", Name: fmt.Sprint("dependency-", n)})
	}
	for _, kind := range []steady.Kind{steady.KindDone, steady.KindRejected} {
		e := a(kind, steady.Event{Outcome: steady.Success, Duration: 3 * time.Millisecond, Reason: "full"})
		var hook steady.Hook = p
		ctx := b.Context()
		b.Run(kind.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				hook.On(ctx, e)
			}
		})
		b.Run(kind.String()+", parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					hook.On(ctx, e)
				}
			})
		})
	}
}
