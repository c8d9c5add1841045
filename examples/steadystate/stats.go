package main

import (
	"fmt"
	"math"
	"time"
)

// wilson returns the 95 % score interval of a share (E. B. Wilson 1927). Unlike the
// usual one it is still true close to 0 and 1, where availability lives.
func wilson(successes, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959964 // of the normal distribution, 95 % lie within so many sigma
	p, m := float64(successes)/float64(n), float64(n)
	centre := p + z*z/(2*m)
	half := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	scale := 1 + z*z/m
	return max(0, (centre-half)/scale), min(1, (centre+half)/scale)
}

// quantile returns the smallest value that a share q of all does not exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

// percent rounds down: 99.8996 % must not look like the 99.900 % that it missed.
func percent(share float64, digits int) string {
	shift := math.Pow10(digits)
	return fmt.Sprintf("%.*f %%", digits, math.Floor(share*100*shift+1e-6)/shift)
}
