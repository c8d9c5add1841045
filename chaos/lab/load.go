package lab

import "time"

// A Load is when requests arrive. It is open: an arrival does not wait for the
// answers to those before it.
type Load struct{}

// Constant returns a load of rps requests a second, at equal distances.
func Constant(rps float64) Load { panic("not yet") }

// Poisson returns a load of rps requests a second that come independently of each
// other, as those of many users do.
func Poisson(rps float64) Load { panic("not yet") }

// Steps, a trace … to come.

// Surge returns l with its rate multiplied by factor in the first d of the fault
// phase.
func (l Load) Surge(factor float64, d time.Duration) Load { panic("not yet") }
