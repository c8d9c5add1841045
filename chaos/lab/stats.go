package lab

import (
	"math"
	"slices"
	"time"
)

// interval returns the two-sided 95 % interval of Clopper and Pearson (1934) of a
// share of which k of n were seen.
func interval(k, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	return lower(k, n, 0.025), 1 - lower(n-k, n, 0.025)
}

// claims reports whether k of n show, at 95 % confidence, a share of at least bound:
// whether the lower end of the one-sided interval is not below it.
func claims(k, n int, bound float64) bool { return n > 0 && lower(k, n, 0.05) >= bound }

// needed returns how many requests claim a share of bound if all of them go well.
func needed(bound float64) int { return int(math.Ceil(math.Log(0.05) / math.Log(bound))) }

// lower returns the share at which seeing k or more of n has the probability alpha:
// the alpha-quantile of the beta distribution with k and n-k+1.
func lower(k, n int, alpha float64) float64 {
	if k == 0 {
		return 0
	}
	a, b := float64(k), float64(n-k+1)
	low, high := 0.0, 1.0
	for range 100 { // halving; the last steps are below the precision of a float64
		p := (low + high) / 2
		if p == low || p == high {
			break
		}
		if beta(a, b, p) < alpha {
			low = p
		} else {
			high = p
		}
	}
	return (low + high) / 2
}

// beta returns the regularized incomplete beta function of x, for x in (0, 1), from
// its continued fraction (Numerical Recipes, 3rd edition, section 6.4).
func beta(a, b, x float64) float64 {
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	front := math.Exp(lab - la - lb + a*math.Log(x) + b*math.Log1p(-x))
	if x < (a+1)/(a+b+2) {
		return front * fraction(a, b, x) / a
	}
	return 1 - front*fraction(b, a, 1-x)/b
}

// fraction evaluates the continued fraction by the method of Lentz. It takes about as
// many steps as the root of a or b.
func fraction(a, b, x float64) float64 {
	const tiny, eps = 1e-300, 1e-14
	away := func(v float64) float64 { // from zero
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c, d := 1.0, 1/away(1-(a+b)*x/(a+1))
	h := d
	for m := 1.0; m < 1e6; m++ {
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d, c = 1/away(1+even*d), away(1+even/c)
		h *= d * c
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d, c = 1/away(1+odd*d), away(1+odd/c)
		h *= d * c
		if math.Abs(d*c-1) <= eps {
			break
		}
	}
	return h
}

// quantile returns the q-quantile of sorted values, of which there must be one: the
// smallest of them that at least that share does not exceed (nearest rank).
func quantile(sorted []time.Duration, q float64) time.Duration {
	rank := int(math.Ceil(q*float64(len(sorted)) - 1e-9)) // 0.07 × 100 is above 7
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// median returns the lower median of values, which it leaves as they are.
func median(values []time.Duration) time.Duration {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return quantile(sorted, 0.5)
}
