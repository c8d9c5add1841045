// Package check collects the faults of a configuration, so that all of them are
// reported at once, in one form.
package check

import (
	"errors"
	"fmt"
)

// Faults are the faults of one Config struct.
type Faults struct {
	of   string
	errs []error
}

// Config begins the check of a Config of the named package or type, such as
// "breaker: Config".
func Config(of string) *Faults { return &Faults{of: of} }

// Require adds a fault unless ok holds: that field must keep rule, and got is what
// it holds.
func (f *Faults) Require(ok bool, field, rule string, got any) {
	if !ok {
		f.errs = append(f.errs, fmt.Errorf("%s.%s must %s, got %v", f.of, field, rule, got))
	}
}

// Join adds faults that were found elsewhere; err may be nil.
func (f *Faults) Join(err error) {
	if err != nil {
		f.errs = append(f.errs, err)
	}
}

// Err returns all faults joined, in the order of their checks, or nil.
func (f *Faults) Err() error { return errors.Join(f.errs...) }

// Must returns v, or panics if err is not nil. It is the body of every MustNew.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
