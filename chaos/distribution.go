package chaos

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// A Distribution says how long injected delays are. It is made by [Constant], [Uniform],
// [LogNormal], [Pareto] or [Quantiles], which do not fail: what is wrong with one is told
// by [New]. It is immutable. The zero value is none, which [New] refuses.
type Distribution struct {
	at  func(u float64) float64 // in nanoseconds
	err error
}

// At returns the delay below which the share u of all delays lies, the inverse of
// the distribution function. The same u always gives the same delay. u is in [0, 1): below
// that counts as 0, above as the last number before 1. A delay of more than 292 years, which
// is all that a time.Duration can hold, is returned as that. At returns 0 for the zero
// Distribution, and for one with a fault.
func (d Distribution) At(u float64) time.Duration {
	if d.at == nil || d.err != nil {
		return 0
	}
	if !(u > 0) {
		u = 0
	}
	ns := d.at(min(u, 1-0x1p-53))
	if ns >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(max(ns, 0))
}

// check returns what is wrong with d.
func (d Distribution) check() error {
	if d.at == nil && d.err == nil {
		return errors.New("have a distribution, got none")
	}
	return d.err
}

// Constant delays by d, which must be > 0, each time.
func Constant(d time.Duration) Distribution {
	return Distribution{
		at:  func(float64) float64 { return float64(d) },
		err: broken(d > 0, "have a delay > 0, got Constant(%v)", d),
	}
}

// Uniform delays by anything from lo, which may be 0, to hi, which must be above lo,
// evenly.
func Uniform(lo, hi time.Duration) Distribution {
	return Distribution{
		at:  func(u float64) float64 { return float64(lo) + u*float64(hi-lo) },
		err: broken(lo >= 0 && hi > lo, "have 0 <= lo < hi, got Uniform(%v, %v)", lo, hi),
	}
}

// LogNormal is how most services take their time: the logarithm of the delay is normally
// distributed. mean is the arithmetic mean of the delay, not of its logarithm, and must be
// > 0; sigma is the standard deviation of the natural logarithm, must be > 0, and has no unit.
// With a sigma of 0.5 the 99th percentile is 2.8 means, with 1 it is 6.2.
func LogNormal(mean time.Duration, sigma float64) Distribution {
	mu := math.Log(float64(mean)) - sigma*sigma/2
	return Distribution{
		at: func(u float64) float64 { return math.Exp(mu + sigma*math.Sqrt2*math.Erfinv(2*u-1)) },
		err: broken(mean > 0 && sigma > 0 && !math.IsInf(sigma, 0),
			"have mean > 0 and a finite sigma > 0, got LogNormal(%v, %v)", mean, sigma),
	}
}

// Pareto has the heavy tail of stalls: the share of delays above t is (least/t)^alpha. least,
// the shortest delay, must be > 0, and so must alpha, which has no unit. The smaller alpha the
// heavier the tail: at 1 and below the mean is infinite, and the callers' patience is all
// that bounds a delay.
func Pareto(least time.Duration, alpha float64) Distribution {
	return Distribution{
		at: func(u float64) float64 { return float64(least) * math.Pow(1-u, -1/alpha) },
		err: broken(least > 0 && alpha > 0 && !math.IsInf(alpha, 0),
			"have least > 0 and a finite alpha > 0, got Pareto(%v, %v)", least, alpha),
	}
}

// Quantiles follows delays that were measured, such as {0.5: 20 ms, 0.99: 80 ms, 1: 2 s}:
// between two quantiles in a straight line, below the first and above the last as they are.
// Each must be in [0, 1], the delays >= 0 and nowhere falling, and one at least > 0.
func Quantiles(q map[float64]time.Duration) Distribution {
	var points []point
	for u, d := range q {
		points = append(points, point{u, d})
	}
	slices.SortFunc(points, func(a, b point) int { return cmp.Or(cmp.Compare(a.u, b.u), cmp.Compare(a.d, b.d)) })
	return Distribution{
		at:  func(u float64) float64 { return between(points, u) },
		err: checkPoints(points),
	}
}

// A point says that the share u of delays is below d.
type point struct {
	u float64
	d time.Duration
}

// between returns the delay at u.
func between(points []point, u float64) float64 {
	n, _ := slices.BinarySearchFunc(points, u, func(p point, u float64) int { return cmp.Compare(p.u, u) })
	if n == 0 {
		return float64(points[0].d)
	}
	if n == len(points) {
		return float64(points[n-1].d)
	}
	a, b := points[n-1], points[n]
	return float64(a.d) + (u-a.u)/(b.u-a.u)*float64(b.d-a.d)
}

func checkPoints(points []point) error {
	if len(points) == 0 {
		return errors.New("have a quantile, got Quantiles of none")
	}
	for n, p := range points {
		if !(p.u >= 0 && p.u <= 1) {
			return fmt.Errorf("have quantiles between 0 and 1, got %v in Quantiles", p.u)
		}
		if p.d < 0 || n > 0 && p.d < points[n-1].d {
			return fmt.Errorf("have delays >= 0 that nowhere fall, got %v at %v in Quantiles", p.d, p.u)
		}
	}
	return broken(points[len(points)-1].d > 0, "have a delay > 0, got Quantiles of 0 alone")
}

// broken returns an error unless ok holds.
func broken(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}
