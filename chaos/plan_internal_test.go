package chaos

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Whether one more may be injected, and that it is, must be one step. Many faults that may be
// injected once each, gone through by several goroutines side by side, give two of them
// many chances to meet between the steps if there are two, the more so under the race detector.
func TestMaxIsExactWhenSeveralComeAtOnce(t *testing.T) {
	faults := make([]Fault, 20_000)
	for n := range faults {
		faults[n] = Fault{Name: strconv.Itoa(n), Effect: Error(nil), Rate: 1, Max: 1}
	}
	rules := make([]rule, len(faults))
	for n := range faults {
		rules[n] = faults[n].rule(n, Config{})
	}
	p := &plan{epoch: epoch.Load(), start: time.Now(), lasts: time.Hour, tallies: make([]tally, len(rules))}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for n := range rules {
				p.takes(&rules[n])
			}
		})
	}
	wg.Wait()
	for n := range rules {
		require.EqualValues(t, 1, p.tallies[n].injected.Load())
	}
}
