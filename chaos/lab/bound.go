package lab

// A Bound is what a measured number must not cross. It is made by [AtLeast] and
// [AtMost]; its zero value is AtMost(0).
type Bound struct {
	value   float64
	atLeast bool
}

// AtLeast returns the bound of numbers that are v or more.
func AtLeast(v float64) Bound { return Bound{value: v, atLeast: true} }

// AtMost returns the bound of numbers that are v or less.
func AtMost(v float64) Bound { return Bound{value: v} }
