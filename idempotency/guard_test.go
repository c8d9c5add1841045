package idempotency_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/steadytest"
	"github.com/steady-go/steady/timeout"
)

var (
	errDeclined = errors.New("card declined")
	errLost     = errors.New("connection reset")
)

func newGuard(t testing.TB, c idempotency.Config) *idempotency.Guard {
	t.Helper()
	if c.OnUnknown == 0 {
		c.OnUnknown = idempotency.Rerun
	}
	g, err := idempotency.New(c)
	require.NoError(t, err)
	return g
}

// order asks for key "a" with a call that returns n.
func order(t testing.TB, g *idempotency.Guard, n int) (int, idempotency.Info, error) {
	t.Helper()
	return idempotency.Do(t.Context(), g, "a", "order", func(context.Context) (int, error) { return n, nil })
}

func uncalled(t testing.TB) func(context.Context) (int, error) {
	return func(context.Context) (int, error) { t.Error("called"); return 0, nil }
}

// unwound runs what may panic or end its goroutine, and returns what it panicked with.
func unwound(f func()) (p any) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { p = recover() }()
		f()
	}()
	<-done
	return p
}

// What a call ends with, and what the next caller with the same key gets.
type next int

const (
	replay next = iota // of the value
	again              // of the error
	runs
	unknown // Recovered or ErrUnknown, as OnUnknown says
)

var endings = []struct {
	name string
	call func(ctx context.Context) (int, error)
	next next
}{
	{"nil", func(context.Context) (int, error) { return 1, nil }, replay},
	{"final", func(context.Context) (int, error) { return 0, idempotency.Final(errDeclined) }, again},
	{"final, wrapped", func(context.Context) (int, error) {
		return 0, fmt.Errorf("payment: %w", idempotency.Final(errDeclined))
	}, again},
	{"rejection", func(ctx context.Context) (int, error) {
		full := bulkhead.MustNew(bulkhead.Config{Limit: 1})
		p, _ := full.TryAcquire(ctx)
		defer p.Release()
		return steady.DoValue(ctx, full, func(context.Context) (int, error) { return 0, nil })
	}, runs},
	{"not applied", func(context.Context) (int, error) { return 0, idempotency.NotApplied(errLost) }, runs},
	{"not applied, after a single attempt", func(ctx context.Context) (int, error) {
		r := retry.MustNew(retry.Config{Attempts: 1})
		return 0, r.Do(ctx, func(context.Context) error { return idempotency.NotApplied(errLost) })
	}, runs},
	{"not applied, after several attempts", func(ctx context.Context) (int, error) {
		r := retry.MustNew(retry.Config{Attempts: 2})
		n := 0
		return 0, r.Do(ctx, func(context.Context) error {
			if n++; n == 1 {
				return errLost // it may have had its effect
			}
			return idempotency.NotApplied(errLost)
		})
	}, unknown},
	{"not applied, around several attempts", func(ctx context.Context) (int, error) {
		r := retry.MustNew(retry.Config{Attempts: 2})
		return 0, idempotency.NotApplied(r.Do(ctx, func(context.Context) error { return errLost }))
	}, runs},
	{"rejected after an attempt", func(ctx context.Context) (int, error) {
		full := bulkhead.MustNew(bulkhead.Config{Limit: 1})
		r := retry.MustNew(retry.Config{Attempts: 2})
		n := 0
		return 0, r.Do(ctx, func(ctx context.Context) error {
			if n++; n == 1 {
				return errLost
			}
			p, _ := full.TryAcquire(ctx)
			defer p.Release()
			return full.Do(ctx, func(context.Context) error { return nil })
		})
	}, unknown},
	{"rejection of a part", func(ctx context.Context) (int, error) {
		full := bulkhead.MustNew(bulkhead.Config{Limit: 1})
		p, _ := full.TryAcquire(ctx)
		defer p.Release()
		return 0, idempotency.MaybeApplied(full.Do(ctx, func(context.Context) error { return nil }))
	}, unknown},
	{"not applied and final", func(context.Context) (int, error) {
		return 0, errors.Join(idempotency.NotApplied(errLost), idempotency.Final(errDeclined))
	}, unknown},
	{"not applied and another error", func(context.Context) (int, error) {
		return 0, errors.Join(idempotency.NotApplied(errLost), errLost)
	}, unknown},
	{"another error", func(context.Context) (int, error) { return 0, errLost }, unknown},
	{"another error with a value", func(context.Context) (int, error) { return 1, errLost }, unknown},
	{"panic", func(context.Context) (int, error) { panic("boom") }, unknown},
	{"Goexit", func(context.Context) (int, error) { runtime.Goexit(); return 0, nil }, unknown},
	{"the caller's deadline", func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }, unknown},
	{"an inner timeout", func(ctx context.Context) (int, error) {
		return steady.DoValue(ctx, timeout.MustNew(timeout.Config{Limit: time.Millisecond}), func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
	}, unknown},
	{"a deadline of its own", func(context.Context) (int, error) { return 0, context.DeadlineExceeded }, unknown},
	{"a cancellation", func(context.Context) (int, error) { return 0, context.Canceled }, unknown},
	{"a value after the caller's deadline", func(ctx context.Context) (int, error) { <-ctx.Done(); return 1, nil }, replay},
}

func TestWhatACallEndsWithDecidesWhatTheNextCallerGets(t *testing.T) {
	for _, ending := range endings {
		for _, onUnknown := range []idempotency.OnUnknown{idempotency.Rerun, idempotency.Refuse} {
			t.Run(fmt.Sprint(ending.name, "/", onUnknown), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newGuard(t, idempotency.Config{OnUnknown: onUnknown, Errors: map[string]error{"declined": errDeclined}})
					var first error
					p := unwound(func() {
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						defer cancel()
						_, _, first = idempotency.Do(ctx, g, "a", "order", ending.call)
					})
					require.Equal(t, ending.name == "panic", p != nil)
					require.Zero(t, g.Stats().Running)
					for range 2 {
						start := time.Now()
						v, info, err := order(t, g, 2)
						require.Zero(t, time.Since(start), "no lease is waited for")
						switch ending.next {
						case replay:
							require.NoError(t, err)
							require.True(t, info.Replayed)
							require.Equal(t, 1, v)
						case again:
							require.True(t, info.Replayed)
							require.EqualError(t, err, first.Error())
							require.ErrorIs(t, err, errDeclined)
							require.True(t, steady.IsPermanent(err))
							require.Zero(t, v)
						case runs:
							require.NoError(t, err)
							require.Equal(t, 2, v)
							require.Equal(t, 2, info.Attempt)
							require.False(t, info.Recovered)
							return
						case unknown:
							if onUnknown == idempotency.Refuse {
								require.ErrorIs(t, err, idempotency.ErrUnknown)
								require.True(t, steady.IsPermanent(err))
								_, rejected := steady.AsRejection(err)
								require.False(t, rejected, "something was started")
								continue
							}
							require.NoError(t, err)
							require.Equal(t, 2, info.Attempt)
							require.True(t, info.Recovered)
							return
						}
					}
				})
			})
		}
	}
}

func TestErrorsComeBackUntouched(t *testing.T) {
	g := newGuard(t, idempotency.Config{})
	wrapped := idempotency.Final(errDeclined)
	v, _, err := idempotency.Do(t.Context(), g, "a", "", func(context.Context) (int, error) { return 7, wrapped })
	require.Same(t, wrapped, err)
	require.Equal(t, 7, v, "the value too")
	require.NoError(t, idempotency.Final(nil))
	require.NoError(t, idempotency.NotApplied(nil))
	require.NoError(t, idempotency.MaybeApplied(nil))
}

// With Refuse, somebody has to say what happened.
func TestResolve(t *testing.T) {
	leave := func(t *testing.T) *idempotency.Guard {
		g := newGuard(t, idempotency.Config{OnUnknown: idempotency.Refuse, Errors: map[string]error{"declined": errDeclined}})
		_, _, err := idempotency.Do(t.Context(), g, "a", "order", func(context.Context) (int, error) { return 0, errLost })
		require.Equal(t, errLost, err)
		return g
	}
	t.Run("it has happened", func(t *testing.T) {
		g := leave(t)
		require.NoError(t, idempotency.Resolve(t.Context(), g, "a", 5, nil))
		v, info, err := order(t, g, 2)
		require.NoError(t, err)
		require.True(t, info.Replayed)
		require.Equal(t, 5, v)
		require.ErrorIs(t, idempotency.Resolve(t.Context(), g, "a", 6, nil), idempotency.ErrNothingToResolve)
		_, _, err = idempotency.Do(t.Context(), g, "a", "another order", uncalled(t))
		require.ErrorIs(t, err, idempotency.ErrMismatch, "the fingerprint is still there")
	})
	t.Run("it has failed for good", func(t *testing.T) {
		g := leave(t)
		require.NoError(t, idempotency.Resolve(t.Context(), g, "a", 0, idempotency.Final(errDeclined)))
		_, info, err := order(t, g, 2)
		require.ErrorIs(t, err, errDeclined)
		require.True(t, info.Replayed)
	})
	t.Run("it has not happened", func(t *testing.T) {
		g := leave(t)
		require.NoError(t, idempotency.Resolve(t.Context(), g, "a", 0, idempotency.NotApplied(errLost)))
		v, info, err := order(t, g, 2)
		require.NoError(t, err)
		require.Equal(t, 2, v)
		require.False(t, info.Recovered)
	})
	t.Run("nobody knows", func(t *testing.T) {
		g := leave(t)
		require.EqualError(t, idempotency.Resolve(t.Context(), g, "a", 0, errLost), "idempotency: Resolve: the error must be nil, Final, Unreplayable or NotApplied, got connection reset")
		_, _, err := order(t, g, 2)
		require.ErrorIs(t, err, idempotency.ErrUnknown)
	})
	t.Run("a key that nobody has used", func(t *testing.T) {
		g := leave(t)
		require.ErrorIs(t, idempotency.Resolve(t.Context(), g, "b", 5, nil), idempotency.ErrNothingToResolve)
		_, info, err := idempotency.Do(t.Context(), g, "b", "order", func(context.Context) (int, error) { return 2, nil })
		require.NoError(t, err)
		require.False(t, info.Replayed)
	})
	t.Run("the owner is at work", func(t *testing.T) {
		g := leave(t)
		_, _, err := idempotency.Do(t.Context(), g, "b", "", func(ctx context.Context) (int, error) {
			require.ErrorIs(t, idempotency.Resolve(ctx, g, "b", 5, nil), idempotency.ErrInFlight)
			return 1, nil
		})
		require.NoError(t, err)
	})
}

func TestAnUnknownOutcomeIsForgottenWithRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t, idempotency.Config{OnUnknown: idempotency.Refuse, Keep: time.Hour, MaxRun: time.Minute})
		_, _, err := idempotency.Do(t.Context(), g, "a", "order", func(context.Context) (int, error) {
			time.Sleep(time.Minute)
			return 0, errLost
		})
		require.ErrorIs(t, err, errLost)
		time.Sleep(time.Hour + 30*time.Second - 1)
		_, _, err = order(t, g, 2)
		require.ErrorIs(t, err, idempotency.ErrUnknown)
		time.Sleep(time.Nanosecond)
		_, info, err := order(t, g, 2)
		require.NoError(t, err)
		require.Equal(t, 1, info.Attempt)
	})
}

func TestADuplicateInFlightIsRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t, idempotency.Config{Name: "orders"})
		_, _, err := idempotency.Do(t.Context(), g, "a", "order", func(context.Context) (int, error) {
			_, _, err := order(t, g, 2)
			require.ErrorIs(t, err, idempotency.ErrInFlight)
			require.EqualError(t, err, "idempotency: in flight (orders)")
			r, ok := steady.AsRejection(err)
			require.True(t, ok)
			policy, name, key := r.RejectedBy()
			require.Equal(t, []string{"idempotency", "orders", ""}, []string{policy, name, key})
			after, known := r.RetryAfter()
			require.True(t, known)
			require.Equal(t, time.Second, after)

			_, _, err = idempotency.Do(t.Context(), g, "a", "another order", uncalled(t))
			require.ErrorIs(t, err, idempotency.ErrMismatch, "even now")
			return 1, nil
		})
		require.NoError(t, err)
	})
}

func TestADuplicateWaits(t *testing.T) {
	for name, test := range map[string]struct {
		takes   time.Duration
		ends    error
		want    int
		wantErr error
		atMost  time.Duration
	}{
		"for the outcome":        {takes: 3 * time.Second, want: 1, atMost: 3*time.Second + 250*time.Millisecond},
		"until it may run":       {takes: 3 * time.Second, ends: idempotency.NotApplied(errLost), want: 2, atMost: 3*time.Second + 250*time.Millisecond},
		"until it may recover":   {takes: 3 * time.Second, ends: errLost, want: 2, atMost: 3*time.Second + 250*time.Millisecond},
		"no longer than Wait":    {takes: 20 * time.Second, wantErr: idempotency.ErrInFlight, atMost: 10 * time.Second},
		"hardly, if it is quick": {takes: 15 * time.Millisecond, want: 1, atMost: 30 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGuard(t, idempotency.Config{Wait: 10 * time.Second})
				go func() {
					_, _, _ = idempotency.Do(t.Context(), g, "a", "order", func(context.Context) (int, error) {
						time.Sleep(test.takes)
						return 1, test.ends
					})
				}()
				synctest.Wait()
				start := time.Now()
				v, _, err := order(t, g, 2)
				require.ErrorIs(t, err, test.wantErr)
				require.Equal(t, test.want, v)
				require.LessOrEqual(t, time.Since(start), test.atMost)
				time.Sleep(test.takes)
			})
		})
	}
}

func TestWhoWaitsMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t, idempotency.Config{Wait: time.Hour})
		_, _, err := idempotency.Do(t.Context(), g, "a", "order", func(context.Context) (int, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			_, _, err := idempotency.Do(ctx, g, "a", "order", uncalled(t))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, time.Second, time.Since(start))
			return 1, nil
		})
		require.NoError(t, err)
	})
}

func TestAContextThatIsDoneStartsNothing(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errLost)
	g := newGuard(t, idempotency.Config{})
	_, _, err := idempotency.Do(ctx, g, "a", "order", uncalled(t))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, errLost)
	_, info, err := order(t, g, 1)
	require.NoError(t, err)
	require.Equal(t, 1, info.Attempt)
}

func TestTheLeaseIsExtendedEveryThirdOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faulty{Store: newMemory(t, idempotency.MemoryConfig{})}
		g := newGuard(t, idempotency.Config{Store: store})
		start := time.Now()
		store.extend = func(d time.Duration) error {
			if d > 0 {
				require.Equal(t, 30*time.Second, d)
				require.Zero(t, time.Since(start)%(10*time.Second))
			}
			return nil
		}
		_, _, err := idempotency.Do(t.Context(), g, "a", "order", func(ctx context.Context) (int, error) {
			time.Sleep(5*time.Minute + time.Second)
			require.NoError(t, ctx.Err())
			_, _, err := order(t, g, 2)
			require.ErrorIs(t, err, idempotency.ErrInFlight)
			return 1, nil
		})
		require.NoError(t, err)
		require.EqualValues(t, 30, store.extensions.Load())
		time.Sleep(time.Minute)
		require.EqualValues(t, 30, store.extensions.Load(), "nothing goes on")
	})
}

func TestMaxRunBoundsACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t, idempotency.Config{MaxRun: time.Minute})
		start := time.Now()
		_, _, err := idempotency.Do(t.Context(), g, "a", "order", func(ctx context.Context) (int, error) {
			<-ctx.Done()
			require.Equal(t, time.Minute, time.Since(start))
			require.Equal(t, idempotency.ErrMaxRun, context.Cause(ctx))
			return 0, ctx.Err()
		})
		require.ErrorIs(t, err, idempotency.ErrMaxRun)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, idempotency.ErrUnknown)
		_, info, err := order(t, g, 2)
		require.NoError(t, err)
		require.True(t, info.Recovered)
	})
}

// A call that ignores its context loses its key when its lease passes, but not before.
func TestACallThatIgnoresMaxRunLosesItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t, idempotency.Config{MaxRun: time.Minute})
		ended := make(chan error, 1)
		go func() {
			_, _, err := idempotency.Do(t.Context(), g, "a", "order", func(context.Context) (int, error) {
				time.Sleep(time.Hour)
				return 1, nil
			})
			ended <- err
		}()
		synctest.Wait()
		time.Sleep(time.Minute)
		_, _, err := order(t, g, 2)
		require.ErrorIs(t, err, idempotency.ErrInFlight)
		time.Sleep(30 * time.Second)
		v, info, err := order(t, g, 2)
		require.NoError(t, err)
		require.True(t, info.Recovered)
		require.Equal(t, 2, v)
		time.Sleep(time.Hour)
		err = <-ended
		require.ErrorIs(t, err, idempotency.ErrLost, "what it did may have been done twice, and its value is not what is replayed")
		require.ErrorIs(t, err, idempotency.ErrUnknown)
		v, _, err = order(t, g, 3)
		require.NoError(t, err)
		require.Equal(t, 2, v)
	})
}

// A faulty store fails as it is told. Its funcs return nil to pass a call on.
type faulty struct {
	idempotency.Store
	begin      func() error
	beginAfter func() error // when it is done
	extend     func(time.Duration) error
	finish     func() error
	release    func() error
	extensions atomic.Int32 // by more than 0
	finishes   atomic.Int32
}

func (s *faulty) Begin(ctx context.Context, c idempotency.Claim) (g idempotency.Grant, err error) {
	if s.begin != nil {
		if err := s.begin(); err != nil {
			return g, err
		}
	}
	if g, err = s.Store.Begin(ctx, c); err == nil && s.beginAfter != nil {
		err = s.beginAfter()
	}
	return g, err
}

func (s *faulty) Extend(ctx context.Context, key, token string, lease time.Duration) error {
	if lease > 0 {
		s.extensions.Add(1)
	}
	if s.extend != nil {
		if err := s.extend(lease); err != nil {
			return err
		}
	}
	return s.Store.Extend(ctx, key, token, lease)
}

func (s *faulty) Finish(ctx context.Context, key, token string, o idempotency.Outcome, keep time.Duration) error {
	s.finishes.Add(1)
	if s.finish != nil {
		if err := s.finish(); err != nil {
			return err
		}
	}
	return s.Store.Finish(ctx, key, token, o, keep)
}

func (s *faulty) Release(ctx context.Context, key, token string) error {
	if s.release != nil {
		if err := s.release(); err != nil {
			return err
		}
	}
	return s.Store.Release(ctx, key, token)
}

var errStoreDown = errors.New("store down")

func TestWhenTheStoreIsDownNothingRuns(t *testing.T) {
	g := newGuard(t, idempotency.Config{Name: "orders", Store: &faulty{Store: newMemory(t, idempotency.MemoryConfig{}), begin: func() error { return errStoreDown }}})
	_, _, err := idempotency.Do(t.Context(), g, "a", "order", uncalled(t))
	require.ErrorIs(t, err, idempotency.ErrStore)
	require.ErrorIs(t, err, errStoreDown)
	require.EqualError(t, err, "idempotency: store failed (orders): store down")
	_, rejected := steady.AsRejection(err)
	require.True(t, rejected)
	require.EqualValues(t, 1, g.Stats().StoreErrors)
}

// The store has claimed the key, but its answer is lost: the next caller must not wait for a lease that nobody has.
func TestAClaimWhoseAnswerWasLostIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := errStoreDown
		g := newGuard(t, idempotency.Config{OnUnknown: idempotency.Refuse, Store: &faulty{Store: newMemory(t, idempotency.MemoryConfig{}), beginAfter: func() error { return lost }}})
		_, _, err := idempotency.Do(t.Context(), g, "a", "order", uncalled(t))
		require.ErrorIs(t, err, errStoreDown)
		lost = nil
		_, info, err := order(t, g, 1)
		require.NoError(t, err)
		require.False(t, info.Recovered)
	})
}

func TestAStoreThatHangsHoldsNobodyForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func() error { time.Sleep(time.Second); return errStoreDown }
		g := newGuard(t, idempotency.Config{Store: &faulty{Store: newMemory(t, idempotency.MemoryConfig{}), begin: hang}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, _, err := idempotency.Do(ctx, g, "a", "order", uncalled(t))
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestAnOutcomeIsStoredAtTheThirdTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faulty{Store: newMemory(t, idempotency.MemoryConfig{})}
		store.finish = func() error {
			if store.finishes.Load() < 3 {
				return errStoreDown
			}
			return nil
		}
		g := newGuard(t, idempotency.Config{Store: store})
		start := time.Now()
		v, info, err := order(t, g, 1)
		require.NoError(t, err)
		require.NoError(t, info.Err)
		require.Equal(t, 1, v)
		require.Equal(t, 90*time.Millisecond, time.Since(start))
		v, info, err = order(t, g, 2)
		require.NoError(t, err)
		require.True(t, info.Replayed)
		require.Equal(t, 1, v)
	})
}

// The caller gets the real answer. The key must not be released: the effect is there.
func TestTrap38AnOutcomeThatCannotBeStoredIsUnknown(t *testing.T) {
	for _, ends := range []error{nil, idempotency.Final(errDeclined)} {
		synctest.Test(t, func(t *testing.T) {
			store := &faulty{Store: newMemory(t, idempotency.MemoryConfig{}), finish: func() error { return errStoreDown }}
			g := newGuard(t, idempotency.Config{Store: store, OnUnknown: idempotency.Refuse})
			v, info, err := idempotency.Do(t.Context(), g, "a", "order", func(context.Context) (int, error) { return 1, ends })
			require.Equal(t, ends, err)
			require.Equal(t, 1, v)
			require.ErrorIs(t, info.Err, errStoreDown)
			require.ErrorIs(t, info.Err, idempotency.ErrStore)
			require.EqualValues(t, 3, store.finishes.Load())

			_, _, err = order(t, g, 2)
			require.ErrorIs(t, err, idempotency.ErrInFlight, "the lease lapses")
			time.Sleep(30 * time.Second)
			_, _, err = order(t, g, 2)
			require.ErrorIs(t, err, idempotency.ErrUnknown)
		})
	}
}

func TestACallerThatLeavesKeepsNoOutcomeFromBeingStored(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	g := newGuard(t, idempotency.Config{})
	v, info, err := idempotency.Do(ctx, g, "a", "order", func(context.Context) (int, error) { cancel(); return 1, nil })
	require.NoError(t, err)
	require.NoError(t, info.Err)
	require.Equal(t, 1, v)
	v, info, err = order(t, g, 2)
	require.NoError(t, err)
	require.True(t, info.Replayed)
	require.Equal(t, 1, v)
}

// lose has a call's lease be lost while it runs, in the way of extend.
func lose(t *testing.T, extend func(*faulty) error, call func(ctx context.Context, start time.Time) (int, error)) (g *idempotency.Guard, err error) {
	store := &faulty{Store: newMemory(t, idempotency.MemoryConfig{})}
	store.extend = func(d time.Duration) error {
		if d == 0 {
			return nil
		}
		return extend(store)
	}
	g = newGuard(t, idempotency.Config{Store: store})
	start := time.Now()
	_, _, err = idempotency.Do(t.Context(), g, "a", "order", func(ctx context.Context) (int, error) { return call(ctx, start) })
	return g, err
}

func TestALostLeaseEndsTheCallsContext(t *testing.T) {
	for name, test := range map[string]struct {
		extend func(*faulty) error
		after  time.Duration
	}{
		"the store refuses": {func(*faulty) error { return idempotency.ErrLost }, 10 * time.Second},
		"the store is down": {func(*faulty) error { return errStoreDown }, 30 * time.Second},
		"the store goes down later": {func(s *faulty) error {
			if s.extensions.Load() > 5 {
				return errStoreDown
			}
			return nil
		}, 80 * time.Second},
		"the store hangs": {func(*faulty) error { time.Sleep(time.Hour); return nil }, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, err := lose(t, test.extend, func(ctx context.Context, start time.Time) (int, error) {
					<-ctx.Done()
					require.Equal(t, idempotency.ErrLeaseLost, context.Cause(ctx))
					require.Equal(t, test.after, time.Since(start))
					return 0, ctx.Err()
				})
				require.ErrorIs(t, err, idempotency.ErrLeaseLost)
				require.ErrorIs(t, err, idempotency.ErrUnknown)
				require.ErrorIs(t, err, context.Canceled)
				require.EqualValues(t, 1, g.Stats().LeasesLost)
				_, info, err := order(t, g, 2)
				require.NoError(t, err)
				require.True(t, info.Recovered)
				time.Sleep(time.Hour)
			})
		})
	}
}

func TestAStoreThatIsBackInTimeLosesNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := lose(t, func(s *faulty) error {
			if n := s.extensions.Load(); n >= 2 && n < 6 {
				return errStoreDown
			}
			return nil
		}, func(ctx context.Context, _ time.Time) (int, error) {
			time.Sleep(5 * time.Minute)
			return 1, ctx.Err()
		})
		require.NoError(t, err)
		require.Zero(t, g.Stats().LeasesLost)
		require.EqualValues(t, 4, g.Stats().StoreErrors)
	})
}

func TestAnExecutionIsTold(t *testing.T) {
	g := newGuard(t, idempotency.Config{Scope: "orders"})
	_, ok := idempotency.FromContext(t.Context())
	require.False(t, ok)
	var seen []idempotency.Execution
	for n := range 3 {
		_, info, _ := idempotency.Do(t.Context(), g, "a", "order", func(ctx context.Context) (int, error) {
			e, ok := idempotency.FromContext(ctx)
			require.True(t, ok)
			seen = append(seen, e)
			return 0, []error{idempotency.NotApplied(errLost), errLost, nil}[n]
		})
		require.Equal(t, seen[n], info.Execution)
	}
	first, second, third := seen[0], seen[1], seen[2]
	require.Equal(t, []bool{false, false, true}, []bool{first.Recovered, second.Recovered, third.Recovered})
	require.Equal(t, []int{1, 2, 3}, []int{first.Attempt, second.Attempt, third.Attempt})
	require.Less(t, first.Fence, second.Fence)
	require.Less(t, second.Fence, third.Fence)
	require.NotEqual(t, first.Token, second.Token)
	require.Equal(t, first.DownstreamKey("charge"), third.DownstreamKey("charge"), "the same in each attempt")
	require.NotEqual(t, first.DownstreamKey("charge"), first.DownstreamKey("mail"))
	require.NotEqual(t, first.Key, first.DownstreamKey(""))
	require.Regexp(t, "^[0-9a-f]{64}$", first.DownstreamKey("charge"))
	require.Regexp(t, "^[0-9a-f]{64}$", first.Key)
}

func TestKeysOfDifferentPartsNeverMeet(t *testing.T) {
	seen := map[string]string{}
	store := newMemory(t, idempotency.MemoryConfig{})
	for _, scope := range []string{"", "a", "ab"} {
		g := newGuard(t, idempotency.Config{Store: store, Scope: scope})
		for _, parts := range [][]string{{""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"ab"}, {"a", "b"}, {"b"}, {"\x01a"}, {"a\x01b"}, {strings.Repeat("a", 200)}, {strings.Repeat("a", 100), strings.Repeat("a", 100)}} {
			_, info, err := idempotency.Do(t.Context(), g, idempotency.Join(parts...), "", func(context.Context) (int, error) { return 1, nil })
			require.NoError(t, err)
			require.False(t, info.Replayed, "%q %q is the same as %s", scope, parts, seen[info.Key])
			seen[info.Key] = fmt.Sprintf("%q %q", scope, parts)
		}
		for _, key := range []string{"c", "ac", "abc"} {
			_, info, err := idempotency.Do(t.Context(), g, key, "", func(context.Context) (int, error) { return 1, nil })
			require.NoError(t, err)
			require.False(t, info.Replayed, "%q %q", scope, key)
		}
	}
}

type order1 struct {
	ID    int
	Items map[string]int
}

func TestResultsOfAllKindsAreReplayed(t *testing.T) {
	g := newGuard(t, idempotency.Config{})
	want := order1{7, map[string]int{"socks": 2}}
	moment := time.Date(2026, 11, 27, 1, 2, 3, 4, time.UTC)
	for range 2 {
		v, _, err := idempotency.Do(t.Context(), g, "struct", "", func(context.Context) (order1, error) { return want, nil })
		require.NoError(t, err)
		require.Equal(t, want, v)
		p, _, err := idempotency.Do(t.Context(), g, "pointer", "", func(context.Context) (*order1, error) { return &want, nil })
		require.NoError(t, err)
		require.Equal(t, &want, p)
		n, _, err := idempotency.Do(t.Context(), g, "nil", "", func(context.Context) (*order1, error) { return nil, nil })
		require.NoError(t, err)
		require.Nil(t, n)
		at, _, err := idempotency.Do(t.Context(), g, "binary", "", func(context.Context) (time.Time, error) { return moment, nil })
		require.NoError(t, err)
		require.True(t, moment.Equal(at))
		b, _, err := idempotency.Do(t.Context(), g, "bytes", "", func(context.Context) ([]byte, error) { return []byte{0, 255}, nil })
		require.NoError(t, err)
		require.Equal(t, []byte{0, 255}, b)
	}
	require.EqualValues(t, 5, g.Stats().Replays)
}

type panicky struct{}

func (panicky) MarshalJSON() ([]byte, error) { panic("boom") }

// What cannot be stored or read again is done all the same.
func TestWhatCannotBeReplayedIsNeverRunAgain(t *testing.T) {
	g := newGuard(t, idempotency.Config{MaxOutcome: 100})
	refuse := func(key string, want string) {
		t.Helper()
		for range 2 {
			_, info, err := idempotency.Do(t.Context(), g, key, "", uncalled(t))
			require.ErrorIs(t, err, idempotency.ErrNotReplayable)
			require.ErrorContains(t, err, want)
			require.False(t, info.Replayed)
			require.True(t, steady.IsPermanent(err))
			_, rejected := steady.AsRejection(err)
			require.False(t, rejected)
		}
	}
	text, _, err := idempotency.Do(t.Context(), g, "large", "", func(context.Context) (string, error) { return strings.Repeat("a", 99), nil })
	require.NoError(t, err)
	require.Len(t, text, 99)
	refuse("large", "101 bytes, more than MaxOutcome of 100")

	_, _, err = idempotency.Do(t.Context(), g, "fits", "", func(context.Context) (string, error) { return strings.Repeat("a", 98), nil })
	require.NoError(t, err)
	_, info, err := idempotency.Do(t.Context(), g, "fits", "", func(context.Context) (string, error) { return "", nil })
	require.NoError(t, err)
	require.True(t, info.Replayed)

	_, _, err = idempotency.Do(t.Context(), g, "chan", "", func(context.Context) (chan int, error) { return nil, nil })
	require.NoError(t, err)
	refuse("chan", "cannot be encoded")
	_, _, err = idempotency.Do(t.Context(), g, "panic", "", func(context.Context) (panicky, error) { return panicky{}, nil })
	require.NoError(t, err)
	refuse("panic", "panic: boom")
	_, _, err = idempotency.Do(t.Context(), g, "error", "", func(context.Context) (int, error) {
		return 0, idempotency.Final(errors.New(strings.Repeat("e", 100)))
	})
	require.Error(t, err)
	refuse("error", "bytes, more than MaxOutcome of 100")

	_, _, err = idempotency.Do(t.Context(), g, "another type", "", func(context.Context) (string, error) { return "text", nil })
	require.NoError(t, err)
	refuse("another type", "cannot be decoded")
	var syntax *json.UnmarshalTypeError
	_, _, err = idempotency.Do(t.Context(), g, "another type", "", uncalled(t))
	require.ErrorAs(t, err, &syntax)
}

func TestOutcomesOfOtherVersionsAreNotReplayable(t *testing.T) {
	for _, o := range []string{"", "\x01", "\x02v1", "\x01z", "\x01enonsense"} {
		store := newMemory(t, idempotency.MemoryConfig{})
		g := newGuard(t, idempotency.Config{Store: store})
		_, _, err := idempotency.Do(t.Context(), g, "a", "", func(ctx context.Context) (int, error) {
			e, _ := idempotency.FromContext(ctx)
			return 1, store.Finish(ctx, e.Key, e.Token, idempotency.Outcome(o), time.Hour)
		})
		require.NoError(t, err)
		_, _, err = idempotency.Do(t.Context(), g, "a", "", uncalled(t))
		require.ErrorIs(t, err, idempotency.ErrNotReplayable, "%q", o)
	}
}

func FuzzOutcome(f *testing.F) {
	f.Add([]byte("\x01v{}"))
	f.Add([]byte("\x01e{\"text\":\"a\",\"is\":[\"declined\"]}"))
	f.Add([]byte("\x01x"))
	f.Fuzz(func(t *testing.T, o []byte) {
		if len(o) > 1<<20 {
			return
		}
		store := newMemory(t, idempotency.MemoryConfig{})
		g := newGuard(t, idempotency.Config{Store: store, Errors: map[string]error{"declined": errDeclined}})
		_, _, err := idempotency.Do(t.Context(), g, "a", "", func(ctx context.Context) (order1, error) {
			e, _ := idempotency.FromContext(ctx)
			return order1{}, store.Finish(ctx, e.Key, e.Token, o, time.Hour)
		})
		require.NoError(t, err)
		for range 2 {
			_, info, err := idempotency.Do(t.Context(), g, "a", "", func(context.Context) (order1, error) { t.Error("called"); return order1{}, nil })
			require.Equal(t, errors.Is(err, idempotency.ErrNotReplayable), !info.Replayed)
			if err != nil {
				require.True(t, steady.IsPermanent(err))
			}
		}
	})
}

// A thousand refreshes at once.
func TestTrap38DuplicatesAtOnceRunOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t, idempotency.Config{Wait: time.Minute})
		var ran atomic.Int32
		var wg sync.WaitGroup
		for range 1_000 {
			wg.Go(func() {
				v, info, err := idempotency.Do(t.Context(), g, "a", "order", func(context.Context) (int, error) {
					ran.Add(1)
					time.Sleep(100 * time.Millisecond)
					return 1, nil
				})
				if err != nil || v != 1 || info.Err != nil {
					t.Errorf("%d, %v, %v", v, err, info.Err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, ran.Load())
		require.EqualValues(t, 999, g.Stats().Replays)
	})
}

// A message whose handler has failed comes again, and must not be taken for done.
func TestTrap37AFailedCallIsNotMarkedAsDone(t *testing.T) {
	g := newGuard(t, idempotency.Config{})
	handled := 0
	for delivery := range 3 {
		_, _, err := idempotency.Do(t.Context(), g, "message 1", "", func(context.Context) (int, error) {
			if delivery < 2 {
				return 0, errLost
			}
			handled++
			return handled, nil
		})
		require.Equal(t, delivery < 2, err != nil)
	}
	require.Equal(t, 1, handled)
}

func TestTrap38AStaleOwnerOverwritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faulty{Store: newMemory(t, idempotency.MemoryConfig{}), extend: func(time.Duration) error { return errStoreDown }}
		g := newGuard(t, idempotency.Config{Store: store})
		_, _, err := idempotency.Do(t.Context(), g, "a", "order", func(ctx context.Context) (int, error) {
			time.Sleep(31 * time.Second) // its lease is over
			v, info, err := order(t, g, 2)
			require.NoError(t, err)
			require.True(t, info.Recovered)
			require.Equal(t, 2, v)
			return 1, nil
		})
		require.ErrorIs(t, err, idempotency.ErrLost)
		require.EqualValues(t, 2, store.finishes.Load(), "once each")
		v, info, err := order(t, g, 3)
		require.NoError(t, err)
		require.True(t, info.Replayed)
		require.Equal(t, 2, v)
	})
}

func TestTrap38TheFingerprintOutlivesTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t, idempotency.Config{})
		_, _, err := idempotency.Do(t.Context(), g, "a", "order", func(context.Context) (int, error) { return 0, errLost })
		require.Equal(t, errLost, err)
		time.Sleep(time.Hour)
		_, _, err = idempotency.Do(t.Context(), g, "a", "another order", uncalled(t))
		require.ErrorIs(t, err, idempotency.ErrMismatch)
		require.True(t, steady.IsPermanent(err))
	})
}

func TestAllFaultsOfAConfigurationAreTold(t *testing.T) {
	_, err := idempotency.New(idempotency.Config{Lease: 1, MaxRun: -1, Keep: -1, Wait: -1, MaxOutcome: -1, Errors: map[string]error{"a": nil}})
	require.EqualError(t, err, strings.Join([]string{
		"idempotency: Config.OnUnknown must be Rerun or Refuse, got 0",
		"idempotency: Config.Lease must be >= 10ms, got 1ns",
		"idempotency: Config.MaxRun must be > 0, got -1ns",
		"idempotency: Config.Keep must be > 0, got -1ns",
		"idempotency: Config.Wait must be >= 0, got -1ns",
		"idempotency: Config.MaxOutcome must be >= 0, got -1",
		"idempotency: Config.Errors must hold errors, got a: nil",
	}, "\n"))
	require.Panics(t, func() { idempotency.MustNew(idempotency.Config{}) })
	_, err = idempotency.NewMemoryStore(idempotency.MemoryConfig{MaxKeys: -1, MaxBytes: -1})
	require.EqualError(t, err, "idempotency: MemoryConfig.MaxKeys must be >= 0, got -1\nidempotency: MemoryConfig.MaxBytes must be >= 0, got -1")
}

func TestEachDoReportsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hook steadytest.Recorder
		store := &faulty{Store: newMemory(t, idempotency.MemoryConfig{})}
		g := newGuard(t, idempotency.Config{Name: "orders", Hook: &hook, Store: store, MaxOutcome: 40})
		report := func() (reports []string) {
			for _, e := range hook.Events() {
				if e.Kind != steady.KindNew {
					reports = append(reports, fmt.Sprint(e.Kind, " ", e.Reason, " ", e.Outcome))
				}
				require.Equal(t, "idempotency", e.Policy)
				require.Equal(t, "orders", e.Name)
			}
			hook.Reset()
			return reports
		}
		do := func(key string, v string, err error) {
			_, _, _ = idempotency.Do(t.Context(), g, key, "", func(context.Context) (string, error) { return v, err })
		}
		expect := func(want string) {
			t.Helper()
			require.Equal(t, []string{want}, report())
		}
		do("a", "ok", nil)
		expect("done run success")
		do("a", "ok", nil)
		expect("done replayed success")
		do("b", "", idempotency.Final(errDeclined))
		expect("done run failure")
		do("b", "", nil)
		expect("done replayed ignored")
		do("c", "", idempotency.NotApplied(errLost))
		expect("done released failure")
		do("c", "", errLost)
		expect("done left unknown failure")
		do("c", "", idempotency.NotApplied(errLost))
		expect("done left unknown failure") // of the one before it is unknown still
		do("c", "", nil)
		expect("done recovered success")
		_ = unwound(func() {
			_, _, _ = idempotency.Do(t.Context(), g, "d", "", func(context.Context) (string, error) { panic("boom") })
		})
		expect("done left unknown failure")
		do("e", strings.Repeat("too large", 5), nil)
		report()
		do("e", "", nil)
		expect("done not replayable failure")
		_, _, _ = idempotency.Do(t.Context(), g, "f", "1", func(context.Context) (int, error) {
			_, _, _ = idempotency.Do(t.Context(), g, "f", "1", uncalled(t))
			expect("rejected in flight ignored")
			_, _, _ = idempotency.Do(t.Context(), g, "f", "2", uncalled(t))
			expect("rejected mismatch ignored")
			return 1, nil
		})
		report()
		store.begin = func() error { return errStoreDown }
		do("g", "", nil)
		expect("rejected store ignored")
		store.begin, store.finish = nil, func() error { return errStoreDown }
		do("h", "ok", nil)
		expect("done not stored success")
		store.finish = func() error { return idempotency.ErrLost }
		do("i", "ok", nil)
		expect("done lost failure")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, _ = idempotency.Do(ctx, g, "j", "", uncalled(t))
		expect("rejected context ignored")
		refuse := newGuard(t, idempotency.Config{Name: "orders", Hook: &hook, Store: store, OnUnknown: idempotency.Refuse})
		_ = unwound(func() {
			_, _, _ = idempotency.Do(t.Context(), refuse, "k", "", func(context.Context) (string, error) { panic("boom") })
		})
		report()
		_, _, _ = idempotency.Do(t.Context(), refuse, "k", "", uncalled(t))
		expect("done unknown failure")
		runtime.KeepAlive(refuse)
		require.Equal(t, idempotency.Stats{
			Executions: 11, Recoveries: 2, Released: 1, Left: 3, Replays: 2, NotReplayable: 1, Busy: 1, Mismatches: 1, StoreErrors: 2, Lost: 1,
		}, g.Stats())
		runtime.KeepAlive(g)
	})
}

func TestAHookThatPanicsHarmsNobody(t *testing.T) {
	g := newGuard(t, idempotency.Config{Name: "orders", Hook: steady.HookFunc(func(context.Context, steady.Event) { panic("hook") })})
	v, _, err := order(t, g, 1)
	require.NoError(t, err)
	require.Equal(t, 1, v)
	require.Positive(t, g.Stats().HookPanics)
	s := g.Inspect()
	require.Len(t, s, 1)
	require.Equal(t, "idempotency", s[0].Policy)
}

func TestOnceStoresNothingForAnErrorThatIsNotFinal(t *testing.T) {
	store := &faulty{Store: newMemory(t, idempotency.MemoryConfig{})}
	g := newGuard(t, idempotency.Config{Store: store})
	for i, err := range []error{errLost, idempotency.NotApplied(errLost)} {
		_, _, got := idempotency.Once(t.Context(), g, store, fmt.Sprint(i), "", func(context.Context) (int, error) { return 0, err })
		require.Equal(t, err, got)
	}
	require.Zero(t, store.finishes.Load())
	require.Zero(t, store.extensions.Load())

	store.finish = func() error { return errStoreDown }
	v, _, err := idempotency.Once(t.Context(), g, store, "b", "", func(context.Context) (int, error) { return 1, nil })
	require.ErrorIs(t, err, errStoreDown, "or it would be committed without its key")
	require.ErrorIs(t, err, idempotency.ErrUnknown)
	require.Zero(t, v)
	_, rejected := steady.AsRejection(err)
	require.False(t, rejected)
}
