package lab

import "time"

// A Step is a part of a load in which its rate is the same.
type Step struct {
	For time.Duration // how long; 0, in the last step alone, to the end
	RPS float64       // requests a second; 0 is a pause
}
