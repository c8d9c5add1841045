// Package refusal is the rejection of policies that cannot tell when to come back.
package refusal

import "time"

// A Refusal is a steady.Rejection. One is made for each reason when a policy is
// made, so that refusing costs no allocation.
type Refusal struct {
	policy, name string
	reason       error // the sentinel that it matches
	permanent    bool
}

// New returns the refusal of the policy of the given kind and name, for reason.
func New(policy, name string, reason error) *Refusal {
	return &Refusal{policy: policy, name: name, reason: reason}
}

// NewPermanent is New for a call that would be refused again whenever it came back.
func NewPermanent(policy, name string, reason error) *Refusal {
	return &Refusal{policy: policy, name: name, reason: reason, permanent: true}
}

func (r *Refusal) Error() string {
	if r.name == "" {
		return r.reason.Error()
	}
	return r.reason.Error() + " (" + r.name + ")"
}

// Is reports whether target is the sentinel of its reason.
func (r *Refusal) Is(target error) bool { return target == r.reason }

// RejectedBy tells which policy refused.
func (r *Refusal) RejectedBy() (policy, name, key string) { return r.policy, r.name, "" }

// Permanent reports whether another attempt is in vain; see steady.IsPermanent.
func (r *Refusal) Permanent() bool { return r.permanent }

// RetryAfter reports false: it cannot tell.
func (r *Refusal) RetryAfter() (time.Duration, bool) { return 0, false }
