package speed_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/steady-go/steady/bench/speed"
)

func BenchmarkFloor(b *testing.B)                 { run(b, "Floor") }
func BenchmarkBreakerClosed(b *testing.B)         { run(b, "BreakerClosed") }
func BenchmarkBreakerClosedDeadline(b *testing.B) { run(b, "BreakerClosedDeadline") }
func BenchmarkBreakerFailing1(b *testing.B)       { run(b, "BreakerFailing1") }
func BenchmarkBreakerFailing50(b *testing.B)      { run(b, "BreakerFailing50") }
func BenchmarkBreakerOpen(b *testing.B)           { run(b, "BreakerOpen") }
func BenchmarkBreakerCountWindow(b *testing.B)    { run(b, "BreakerCountWindow") }
func BenchmarkBreakerSlowCalls(b *testing.B)      { run(b, "BreakerSlowCalls") }
func BenchmarkBulkheadFree(b *testing.B)          { run(b, "BulkheadFree") }
func BenchmarkBulkheadFull(b *testing.B)          { run(b, "BulkheadFull") }
func BenchmarkBulkheadContended(b *testing.B)     { run(b, "BulkheadContended") }
func BenchmarkBulkheadQueued(b *testing.B)        { run(b, "BulkheadQueued") }
func BenchmarkRetryFirst(b *testing.B)            { run(b, "RetryFirst") }
func BenchmarkRetryTwoFailures(b *testing.B)      { run(b, "RetryTwoFailures") }
func BenchmarkTimeoutIgnored(b *testing.B)        { run(b, "TimeoutIgnored") }
func BenchmarkTimeoutWaited(b *testing.B)         { run(b, "TimeoutWaited") }
func BenchmarkTimeoutDerived(b *testing.B)        { run(b, "TimeoutDerived") }
func BenchmarkPipelineIgnored(b *testing.B)       { run(b, "PipelineIgnored") }
func BenchmarkPipelineWaited(b *testing.B)        { run(b, "PipelineWaited") }
func BenchmarkHookOTel(b *testing.B)              { run(b, "HookOTel") }
func BenchmarkHookDebug(b *testing.B)             { run(b, "HookDebug") }
func BenchmarkCacheHit(b *testing.B)              { run(b, "CacheHit") }
func BenchmarkIdempotencyKey(b *testing.B)        { run(b, "IdempotencyKey") }
func BenchmarkPipelineShownIgnored(b *testing.B)  { run(b, "PipelineShownIgnored") }
func BenchmarkPipelineShownWaited(b *testing.B)   { run(b, "PipelineShownWaited") }

// warm has the kernel give the process the memory that its heap will use. Otherwise
// who allocates would pay for that in its first measurement.
var warm = sync.OnceFunc(func() {
	for range 1 << 17 {
		sink = make([]byte, 256)
	}
	runtime.GC()
})

var sink []byte

func run(b *testing.B, name string) {
	warm()
	c := find(b, name)
	ctx, cancel := c.Caller.Context()
	defer cancel()
	for _, v := range c.Variants {
		b.Run("lib="+v.Lib, func(b *testing.B) {
			if c.Runs != speed.ParallelOnly {
				b.Run("run=serial", func(b *testing.B) {
					do, call := v.New(), c.Call()
					b.ReportAllocs()
					for b.Loop() {
						_ = do(ctx, call)
					}
				})
			}
			if c.Runs != speed.SerialOnly {
				b.Run("run=parallel", func(b *testing.B) {
					do := v.New()
					b.SetParallelism(c.Parallelism)
					b.ReportAllocs()
					b.RunParallel(func(pb *testing.PB) {
						call := c.Call()
						for pb.Next() {
							_ = do(ctx, call)
						}
					})
				})
			}
		})
	}
}

func find(tb testing.TB, name string) speed.Case {
	for _, c := range append(speed.Cases(), speed.Floors()) {
		if c.Name == name {
			return c
		}
	}
	tb.Fatalf("there is no case %q", name)
	return speed.Case{}
}
