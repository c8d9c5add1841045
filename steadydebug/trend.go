package steadydebug

import (
	"fmt"
	"strings"
	"time"
)

// A trend is a line of how many calls a second ended or were refused in the last minute.
type trend struct {
	Points string // of an SVG polyline, in a box of trendWidth by trendHeight
	Most   float64
}

const (
	trendWidth  = 120
	trendHeight = 24
)

// trendOf returns the trend of a policy, or nil from fewer than four looks or without a call.
func trendOf(minute []look, id identity) *trend {
	if len(minute) < 4 {
		return nil
	}
	var at, rates []float64
	var most float64
	end := minute[len(minute)-1].at
	for n := 1; n < len(minute); n++ {
		from, to := minute[n-1], minute[n]
		elapsed := to.at.Sub(from.at)
		if elapsed < tooShort {
			continue // the last look may come at once after the one before, and say little
		}
		rate := float64(to.calls[id]-from.calls[id]) / elapsed.Seconds()
		most = max(most, rate)
		at = append(at, trendWidth*(1-end.Sub(to.at).Seconds()/time.Minute.Seconds()))
		rates = append(rates, rate)
	}
	if most == 0 {
		return nil
	}
	var points strings.Builder
	for n := range at {
		fmt.Fprintf(&points, "%.1f,%.1f ", at[n], trendHeight-1-(trendHeight-2)*rates[n]/most)
	}
	return &trend{Points: strings.TrimSpace(points.String()), Most: most}
}
