package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/steadytest"
)

// rejected returns the rejection of a bulkhead that is full.
func rejected(t testing.TB) error {
	full := bulkhead.MustNew(bulkhead.Config{Limit: 1})
	p, err := full.TryAcquire(t.Context())
	require.NoError(t, err)
	defer p.Release()
	err = full.Do(t.Context(), func(context.Context) error { return nil })
	require.ErrorIs(t, err, bulkhead.ErrFull)
	return err
}

// do asks for key "a" with a call that ends with err.
func do(t testing.TB, g *idempotency.Guard, err error) (idempotency.Info, error) {
	t.Helper()
	_, info, err := idempotency.Do(t.Context(), g, "a", "order", func(context.Context) (int, error) { return 1, err })
	return info, err
}

// The first call may have had its effect. That a recovery did nothing does not change that.
func TestARecoveryThatDidNothingLeavesTheOutcomeUnknown(t *testing.T) {
	lost := error(nil)
	store := &faulty{Store: newMemory(t, idempotency.MemoryConfig{}), beginAfter: func() error { return lost }}
	for name, second := range map[string]func(*testing.T, *idempotency.Guard){
		"not applied": func(t *testing.T, g *idempotency.Guard) { _, _ = do(t, g, idempotency.NotApplied(errLost)) },
		"rejected":    func(t *testing.T, g *idempotency.Guard) { _, _ = do(t, g, rejected(t)) },
		"its claim's answer was lost": func(t *testing.T, g *idempotency.Guard) {
			lost = errStoreDown
			_, err := do(t, g, nil)
			require.ErrorIs(t, err, errStoreDown)
			lost = nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuard(t, idempotency.Config{Store: store, Scope: name})
			_, err := do(t, g, errLost)
			require.Equal(t, errLost, err)
			for range 3 {
				second(t, g)
			}
			info, err := do(t, g, nil)
			require.NoError(t, err)
			require.True(t, info.Recovered)
		})
	}
}

// repeatedly is the error of a retry that hides nothing.
type repeatedly struct{ error }

func (e repeatedly) Unwrap() error  { return e.error }
func (e repeatedly) Repeated() bool { return true }

func TestErrorsThatAreJoinedMustAgree(t *testing.T) {
	for name, test := range map[string]struct {
		err       error
		recovered bool
	}{
		"a failure and a rejection":          {errors.Join(errLost, rejected(t)), true},
		"a rejection and a failure":          {errors.Join(rejected(t), errLost), true},
		"a deadline and a rejection":         {errors.Join(context.DeadlineExceeded, rejected(t)), true},
		"two in one text":                    {fmt.Errorf("%w; %w", errLost, rejected(t)), true},
		"two rejections":                     {errors.Join(rejected(t), rejected(t)), false},
		"a rejection and what did not apply": {errors.Join(rejected(t), idempotency.NotApplied(errLost)), false},
		"a rejection after several attempts": {repeatedly{rejected(t)}, true},
		"a mark around both":                 {idempotency.NotApplied(errors.Join(rejected(t), errLost)), false},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuard(t, idempotency.Config{})
			_, err := do(t, g, test.err)
			require.ErrorIs(t, err, test.err)
			_, is := steady.AsRejection(err)
			require.Equal(t, !test.recovered, is, "or who sees it takes the call for never started")
			info, err := do(t, g, nil)
			require.NoError(t, err)
			require.Equal(t, test.recovered, info.Recovered)
		})
	}
}

// What a part of a call says of itself is not said of the call.
func TestAnInnerDoDoesNotSettleTheOuterKey(t *testing.T) {
	for name, ends := range map[string]error{"not applied": idempotency.NotApplied(errLost), "rejected": rejected(t)} {
		t.Run(name, func(t *testing.T) {
			outer, inner := newGuard(t, idempotency.Config{Scope: "outer"}), newGuard(t, idempotency.Config{Scope: "inner"})
			_, _, err := idempotency.Do(t.Context(), outer, "a", "order", func(ctx context.Context) (int, error) {
				return 0, func() error {
					_, _, err := idempotency.Do(ctx, inner, "b", "", func(context.Context) (int, error) { return 0, ends })
					return err
				}()
			})
			require.ErrorIs(t, err, ends)
			info, err := do(t, outer, nil)
			require.NoError(t, err)
			require.True(t, info.Recovered)
		})
	}
	t.Run("in flight", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := newGuard(t, idempotency.Config{Wait: time.Minute})
			start := time.Now()
			_, _, err := idempotency.Do(t.Context(), g, "a", "order", func(ctx context.Context) (int, error) {
				require.True(t, g.Holds(ctx, "a"))
				require.False(t, g.Holds(ctx, "b"))
				_, _, err := idempotency.Do(ctx, g, "b", "", func(ctx context.Context) (int, error) {
					require.True(t, g.Holds(ctx, "a"), "the outer one still")
					_, _, err := idempotency.Do(ctx, g, "a", "order", uncalled(t))
					return 0, err
				})
				return 0, err
			})
			require.ErrorIs(t, err, idempotency.ErrInFlight)
			require.Zero(t, time.Since(start), "nobody waits for itself")
			info, err := do(t, g, nil)
			require.NoError(t, err)
			require.True(t, info.Recovered)
		})
	})
	t.Run("final", func(t *testing.T) {
		outer, inner := newGuard(t, idempotency.Config{Scope: "outer"}), newGuard(t, idempotency.Config{Scope: "inner"})
		for range 2 { // the second time the inner one is a replay
			_, _, err := idempotency.Do(t.Context(), inner, "b", "", func(context.Context) (int, error) { return 0, idempotency.Final(errDeclined) })
			require.True(t, idempotency.IsFinal(err))
		}
		ran := 0
		for range 3 {
			_, _, err := idempotency.Do(t.Context(), outer, "a", "", func(ctx context.Context) (int, error) {
				ran++
				_, _, err := idempotency.Do(ctx, inner, "b", "", uncalled(t))
				return 0, err
			})
			require.EqualError(t, err, "card declined")
		}
		require.Equal(t, 1, ran)
	})
}

func TestTheErrorOfTheStoreAfterACallIsNoRejection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t, idempotency.Config{Store: &faulty{Store: newMemory(t, idempotency.MemoryConfig{}), finish: func() error { return rejected(t) }}})
		info, err := do(t, g, nil)
		require.NoError(t, err)
		require.ErrorIs(t, info.Err, idempotency.ErrStore)
		require.ErrorIs(t, info.Err, bulkhead.ErrFull)
		_, is := steady.AsRejection(info.Err)
		require.False(t, is)
	})
}

func TestAClaimThatTookLongerThanItsLeaseStartsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := 30 * time.Second
		g := newGuard(t, idempotency.Config{Store: &faulty{Store: newMemory(t, idempotency.MemoryConfig{}), beginAfter: func() error { time.Sleep(slow); return nil }}})
		_, _, err := idempotency.Do(t.Context(), g, "a", "", uncalled(t))
		require.ErrorIs(t, err, idempotency.ErrStore)
		slow--
		_, info, err := order(t, g, 1)
		require.NoError(t, err)
		require.False(t, info.Recovered)
	})
}

func TestAContextThatEndsDuringTheClaimStartsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	g := newGuard(t, idempotency.Config{OnUnknown: idempotency.Refuse, Store: &faulty{Store: newMemory(t, idempotency.MemoryConfig{}), beginAfter: func() error { cancel(); return nil }}})
	_, _, err := idempotency.Do(ctx, g, "a", "order", uncalled(t))
	require.Equal(t, context.Canceled, err)
	info, err := do(t, g, nil)
	require.NoError(t, err)
	require.False(t, info.Recovered)
}

// The outcome is committed long before the call returns.
func TestACallMayGoOnAfterItHasFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory(t, idempotency.MemoryConfig{})
		g := newGuard(t, idempotency.Config{Store: store})
		v, info, err := idempotency.Do(t.Context(), g, "a", "order", func(ctx context.Context) (int, error) {
			e, _ := idempotency.FromContext(ctx)
			require.NoError(t, idempotency.Finish(ctx, e, store, 7))
			time.Sleep(5 * time.Minute)
			return 7, ctx.Err()
		})
		require.NoError(t, err)
		require.NoError(t, info.Err)
		require.Equal(t, 7, v)
		v, info, err = order(t, g, 8)
		require.NoError(t, err)
		require.True(t, info.Replayed)
		require.Equal(t, 7, v)
		require.Zero(t, g.Stats().LeasesLost)
	})
}

func TestOneCallOfTheStoreThatHangsIsTriedAgain(t *testing.T) {
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	t.Run("extension", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			store := &hanging{Store: newMemory(t, idempotency.MemoryConfig{})}
			n := 0
			store.extend = func(ctx context.Context) error {
				if n++; n%3 != 0 { // two in a row
					return hang(ctx)
				}
				return nil
			}
			g := newGuard(t, idempotency.Config{Store: store})
			_, _, err := idempotency.Do(t.Context(), g, "a", "order", func(ctx context.Context) (int, error) {
				time.Sleep(5 * time.Minute)
				return 1, ctx.Err()
			})
			require.NoError(t, err)
			require.Greater(t, n, 20)
		})
	})
	t.Run("outcome", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			store := &hanging{Store: newMemory(t, idempotency.MemoryConfig{})}
			store.finish = func(ctx context.Context) error {
				if n++; n < 3 {
					return hang(ctx)
				}
				return nil
			}
			info, err := do(t, newGuard(t, idempotency.Config{Store: store}), nil)
			require.NoError(t, err)
			require.NoError(t, info.Err)
		})
	})
	t.Run("release", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			store := &faulty{Store: newMemory(t, idempotency.MemoryConfig{}), release: func() error {
				if n++; n < 3 {
					return errStoreDown
				}
				return nil
			}}
			g := newGuard(t, idempotency.Config{Store: store, OnUnknown: idempotency.Refuse})
			info, _ := do(t, g, idempotency.NotApplied(errLost))
			require.NoError(t, info.Err)
			_, err := do(t, g, nil)
			require.NoError(t, err)
		})
	})
}

// A hanging store is told the context.
type hanging struct {
	idempotency.Store
	extend, finish func(context.Context) error
}

func (s *hanging) Extend(ctx context.Context, key, token string, lease time.Duration) error {
	if s.extend != nil && lease > 0 {
		if err := s.extend(ctx); err != nil {
			return err
		}
	}
	return s.Store.Extend(ctx, key, token, lease)
}

func (s *hanging) Finish(ctx context.Context, key, token string, o idempotency.Outcome, keep time.Duration) error {
	if s.finish != nil {
		if err := s.finish(ctx); err != nil {
			return err
		}
	}
	return s.Store.Finish(ctx, key, token, o, keep)
}

func TestTrap04AStoreThatPanicsEndsNoProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom := func() error { panic("boom") }
		store := &faulty{Store: newMemory(t, idempotency.MemoryConfig{}), extend: func(time.Duration) error { panic("boom") }}
		g := newGuard(t, idempotency.Config{Store: store})
		_, _, err := idempotency.Do(t.Context(), g, "a", "order", func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
		require.ErrorIs(t, err, idempotency.ErrLeaseLost)
		store.begin = boom
		_, _, err = idempotency.Do(t.Context(), g, "b", "", uncalled(t))
		require.ErrorIs(t, err, idempotency.ErrStore)
		require.ErrorContains(t, err, "panic: boom")
		store.begin, store.finish = nil, boom
		info, err := do(t, newGuard(t, idempotency.Config{Store: store, Scope: "another"}), nil)
		require.NoError(t, err)
		require.ErrorContains(t, info.Err, "panic: boom")
		store.finish, store.release = nil, boom
		info, _ = do(t, newGuard(t, idempotency.Config{Store: store, Scope: "third"}), idempotency.NotApplied(errLost))
		require.ErrorContains(t, info.Err, "panic: boom")
	})
}

func TestAResolveWhoseAnswerIsLostLeavesNothingBehind(t *testing.T) {
	lost := errStoreDown
	g := newGuard(t, idempotency.Config{OnUnknown: idempotency.Refuse, Store: &faulty{Store: newMemory(t, idempotency.MemoryConfig{}), beginAfter: func() error { return lost }}})
	require.ErrorIs(t, idempotency.Resolve(t.Context(), g, "a", 1, nil), errStoreDown)
	lost = nil
	info, err := do(t, g, errLost)
	require.Equal(t, errLost, err)
	require.False(t, info.Recovered)
	lost = errStoreDown
	require.ErrorIs(t, idempotency.Resolve(t.Context(), g, "a", 1, nil), errStoreDown)
	lost = nil
	_, err = do(t, g, nil)
	require.ErrorIs(t, err, idempotency.ErrUnknown, "as before")
}

func TestOnceDoesNotWaitForALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory(t, idempotency.MemoryConfig{})
		g := newGuard(t, idempotency.Config{Store: store, Wait: time.Hour})
		_, _, err := idempotency.Do(t.Context(), g, "a", "order", func(context.Context) (int, error) {
			start := time.Now()
			_, _, err := idempotency.Once(t.Context(), g, store, "a", "order", uncalled(t))
			require.ErrorIs(t, err, idempotency.ErrInFlight)
			require.Zero(t, time.Since(start))
			return 1, nil
		})
		require.NoError(t, err)
	})
}

// Whoever commits by IsFinal must not commit an effect without its outcome.
func TestIsFinal(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"nil":          {nil, false},
		"final":        {idempotency.Final(errDeclined), true},
		"wrapped":      {fmt.Errorf("payment: %w", idempotency.Final(errDeclined)), true},
		"unreplayable": {idempotency.Unreplayable(errDeclined), true},
		"not applied":  {idempotency.NotApplied(errDeclined), false},
		"another":      {steady.Permanent(errDeclined), false},
		"rejected":     {rejected(t), false},
	} {
		require.Equal(t, test.want, idempotency.IsFinal(test.err), name)
	}
	store := &faulty{Store: newMemory(t, idempotency.MemoryConfig{}), finish: func() error { return errStoreDown }}
	_, _, err := idempotency.Once(t.Context(), newGuard(t, idempotency.Config{Store: store}), store, "a", "", func(context.Context) (int, error) {
		return 0, idempotency.Final(errDeclined)
	})
	require.ErrorIs(t, err, errDeclined)
	require.ErrorIs(t, err, errStoreDown)
	require.False(t, idempotency.IsFinal(err))
}

func TestUnreplayable(t *testing.T) {
	g := newGuard(t, idempotency.Config{OnUnknown: idempotency.Refuse})
	_, err := do(t, g, idempotency.Unreplayable(errors.New("sent as a stream")))
	require.EqualError(t, err, "sent as a stream")
	_, err = do(t, g, nil)
	require.ErrorIs(t, err, idempotency.ErrNotReplayable)
	require.ErrorContains(t, err, "sent as a stream")
	require.NoError(t, idempotency.Unreplayable(nil))
}

// A key that is missing must not be the same for everybody.
func TestTheEmptyKeyIsNone(t *testing.T) {
	g := newGuard(t, idempotency.Config{})
	_, _, err := idempotency.Do(t.Context(), g, "", "", uncalled(t))
	require.ErrorIs(t, err, idempotency.ErrNoKey)
	require.True(t, steady.IsPermanent(err))
	var e idempotency.Execution
	require.PanicsWithValue(t, "idempotency: DownstreamKey of no execution", func() { e.DownstreamKey("ledger") })
	require.PanicsWithValue(t, "idempotency: Finish of no execution", func() { _ = idempotency.Finish(t.Context(), e, newMemory(t, idempotency.MemoryConfig{}), 1) })
}

func TestWhoGoesOnWithoutTheGuardHasTheSameDownstreamKey(t *testing.T) {
	g := newGuard(t, idempotency.Config{Scope: "orders"})
	_, info, err := order(t, g, 1)
	require.NoError(t, err)
	e, ok := idempotency.FromContext(g.Unguarded(t.Context(), "a"))
	require.True(t, ok)
	require.Equal(t, info.DownstreamKey("ledger"), e.DownstreamKey("ledger"))
	require.True(t, e.Recovered)
}

// byPointer has both methods on its pointer, as most types.
type byPointer struct{ text string }

func (b *byPointer) MarshalBinary() ([]byte, error)    { return []byte("p" + b.text), nil }
func (b *byPointer) UnmarshalBinary(data []byte) error { b.text = string(data[1:]); return nil }

// oneWay has one method alone, so it is JSON.
type oneWay struct{ Text string }

func (oneWay) MarshalBinary() ([]byte, error) { return nil, errors.New("one way") }

func TestResultsComeBackAsTheyWere(t *testing.T) {
	moment := time.Date(2026, 11, 27, 1, 2, 3, 4, time.UTC)
	address := url.URL{Scheme: "https", Host: "example.org", Path: "/a"}
	replays(t, byPointer{"a"})
	replays(t, &byPointer{"a"})
	replays(t, (*byPointer)(nil))
	replays(t, oneWay{"a"})
	replays(t, &oneWay{"a"})
	replays(t, moment)
	replays(t, &moment)
	replays(t, address)
	replays(t, &address)
	replays(t, idempotency.Outcome("\x00as it is\xff"))
	replays(t, []string{"a"})
	replays(t, any("a"))
	replays(t, struct{}{})
}

func replays[T any](t *testing.T, want T) {
	t.Helper()
	g := newGuard(t, idempotency.Config{})
	for n := range 2 {
		v, info, err := idempotency.Do(t.Context(), g, "a", "", func(context.Context) (T, error) { return want, nil })
		require.NoError(t, err, "%T", want)
		require.Equal(t, n == 1, info.Replayed)
		require.Equal(t, want, v)
	}
}

type panickingError struct{}

func (panickingError) Error() string { panic("boom") }

func TestErrorsComeBackToTheByte(t *testing.T) {
	g := newGuard(t, idempotency.Config{})
	text := "\xff\x00 not UTF-8 ü"
	for range 2 {
		_, err := do(t, g, idempotency.Final(errors.New(text)))
		require.EqualError(t, err, text)
	}
	_, _, err := idempotency.Do(t.Context(), g, "b", "", func(context.Context) (int, error) { return 0, idempotency.Final(panickingError{}) })
	require.Error(t, err)
	_, _, err = idempotency.Do(t.Context(), g, "b", "", uncalled(t))
	require.ErrorIs(t, err, idempotency.ErrNotReplayable)
}

// An outage in which everything is rejected must not fill the store for a day.
func TestWhatWasReleasedMakesRoom(t *testing.T) {
	g := newGuard(t, idempotency.Config{Store: newMemory(t, idempotency.MemoryConfig{MaxKeys: 10})})
	for n := range 1_000 {
		_, _, err := idempotency.Do(t.Context(), g, fmt.Sprint(n), "", func(context.Context) (int, error) { return 0, idempotency.NotApplied(errLost) })
		require.Equal(t, idempotency.NotApplied(errLost), err)
	}
	for n := range 10 {
		_, _, err := idempotency.Do(t.Context(), g, fmt.Sprint("kept ", n), "", func(context.Context) (int, error) { return 1, nil })
		require.NoError(t, err)
	}
	_, _, err := idempotency.Do(t.Context(), g, "one more", "", uncalled(t))
	require.ErrorIs(t, err, idempotency.ErrFull)
}

// A wild store fails before and after its work, is slow, and does late what was given up.
type wild struct {
	idempotency.Store
	mu     sync.Mutex
	random *rand.Rand
}

func (s *wild) draw(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.IntN(n)
}

func (s *wild) do(ctx context.Context, work func(context.Context) error) error {
	switch s.draw(8) {
	case 0:
		return errStoreDown
	case 1:
		_ = work(ctx)
		return errStoreDown
	case 2:
		later := time.Duration(s.draw(2_000)) * time.Millisecond
		go func() {
			time.Sleep(later)
			_ = work(context.WithoutCancel(ctx))
		}()
		return errStoreDown
	case 3:
		select {
		case <-time.After(time.Duration(s.draw(5_000)) * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return work(ctx)
}

func (s *wild) Begin(ctx context.Context, c idempotency.Claim) (g idempotency.Grant, err error) {
	err = s.do(ctx, func(ctx context.Context) error {
		got, err := s.Store.Begin(ctx, c)
		s.mu.Lock()
		g = got
		s.mu.Unlock()
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	return g, err
}

func (s *wild) Extend(ctx context.Context, key, token string, lease time.Duration) error {
	return s.do(ctx, func(ctx context.Context) error { return s.Store.Extend(ctx, key, token, lease) })
}

func (s *wild) Finish(ctx context.Context, key, token string, o idempotency.Outcome, keep time.Duration) error {
	return s.do(ctx, func(ctx context.Context) error { return s.Store.Finish(ctx, key, token, o, keep) })
}

func (s *wild) Release(ctx context.Context, key, token string) error {
	return s.do(ctx, func(ctx context.Context) error { return s.Store.Release(ctx, key, token) })
}

// However the store fails and whenever callers leave: with Refuse there is no second effect, with Rerun none that was not told, never two
// at once whose contexts are alive, and all replays are the same.
func TestWhateverTheStoreDoesNothingRunsTwiceUntold(t *testing.T) {
	for _, onUnknown := range []idempotency.OnUnknown{idempotency.Rerun, idempotency.Refuse} {
		for seed := range uint64(100) {
			synctest.Test(t, func(t *testing.T) {
				store := &wild{Store: newMemory(t, idempotency.MemoryConfig{}), random: rand.New(rand.NewPCG(seed, uint64(onUnknown)))}
				g := newGuard(t, idempotency.Config{Store: store, OnUnknown: onUnknown, Lease: 3 * time.Second, MaxRun: 20 * time.Second, Wait: time.Second})
				var mu sync.Mutex
				effects, alive := 0, 0
				replayed := map[int]bool{}
				var wg sync.WaitGroup
				for caller := range 8 {
					random := rand.New(rand.NewPCG(seed, uint64(caller)))
					wg.Go(func() {
						for range 20 {
							ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(10_000))*time.Millisecond)
							_ = unwound(func() {
								v, info, err := idempotency.Do(ctx, g, "a", "", func(ctx context.Context) (int, error) {
									e, _ := idempotency.FromContext(ctx)
									mu.Lock()
									if alive++; alive > 1 {
										t.Errorf("seed %d: two at once", seed)
									}
									mu.Unlock()
									select {
									case <-time.After(time.Duration(random.IntN(8_000)) * time.Millisecond):
									case <-ctx.Done():
									}
									mu.Lock()
									defer mu.Unlock()
									alive--
									if random.IntN(3) == 0 {
										return 0, idempotency.NotApplied(errLost)
									}
									if effects > 0 && (!e.Recovered || onUnknown == idempotency.Refuse) {
										t.Errorf("seed %d: effect %d, recovered %v", seed, effects+1, e.Recovered)
									}
									effects++
									switch random.IntN(3) {
									case 0:
										return 0, errLost
									case 1:
										panic("boom")
									}
									return effects, nil
								})
								if err == nil && info.Replayed {
									mu.Lock()
									replayed[v] = true
									mu.Unlock()
								}
							})
							cancel()
							time.Sleep(time.Duration(random.IntN(3_000)) * time.Millisecond)
						}
					})
				}
				wg.Wait()
				time.Sleep(time.Minute)
				if len(replayed) > 1 {
					t.Errorf("seed %d: replays of %v", seed, replayed)
				}
			})
		}
	}
}

// Two guards with the same scope, over two stores.
func TestAnotherGuardDoesNotHoldTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newGuard(t, idempotency.Config{}), newGuard(t, idempotency.Config{Wait: time.Minute})
		_, _, err := idempotency.Do(t.Context(), b, "a", "", func(context.Context) (int, error) {
			go func() {
				_, _, _ = idempotency.Do(t.Context(), a, "a", "", func(ctx context.Context) (int, error) {
					require.False(t, b.Holds(ctx, "a"))
					_, info, err := idempotency.Do(ctx, b, "a", "", uncalled(t)) // waits
					require.NoError(t, err)
					require.True(t, info.Replayed)
					return 1, nil
				})
			}()
			time.Sleep(time.Second)
			require.False(t, b.Holds(b.Unguarded(t.Context(), "a"), "a"), "nobody does")
			return 1, nil
		})
		require.NoError(t, err)
		time.Sleep(time.Second)
	})
}

// What the inner call was refused for is there to be seen within the outer one, for retries and for who asks.
func TestWhatAnInnerDoReturnsIsSeenAsItIs(t *testing.T) {
	outer, inner := newGuard(t, idempotency.Config{Scope: "outer"}), newGuard(t, idempotency.Config{Scope: "inner"})
	_, _, err := idempotency.Do(t.Context(), inner, "b", "1", func(context.Context) (int, error) { return 1, nil })
	require.NoError(t, err)
	_, _, err = idempotency.Do(t.Context(), outer, "a", "", func(ctx context.Context) (int, error) {
		_, _, err := idempotency.Do(ctx, inner, "b", "2", uncalled(t))
		require.ErrorIs(t, err, idempotency.ErrMismatch)
		require.True(t, steady.IsPermanent(err))
		_, is := steady.AsRejection(err)
		require.True(t, is)
		return 0, err
	})
	require.ErrorIs(t, err, idempotency.ErrMismatch)
	require.True(t, steady.IsPermanent(err))
	_, is := steady.AsRejection(err)
	require.False(t, is, "the outer call was started")
}

type typedError struct{ code int }

func (e *typedError) Error() string { return fmt.Sprint("code ", e.code) }

func TestAMarkHidesTheRejectionAlone(t *testing.T) {
	err := idempotency.MaybeApplied(errors.Join(steady.RetryAfter(&typedError{7}, time.Second), rejected(t)))
	var typed *typedError
	require.ErrorAs(t, err, &typed)
	require.Equal(t, 7, typed.code)
	_, is := steady.AsRejection(err)
	require.False(t, is)
	after, known := steady.RetryAfterOf(err)
	require.True(t, known)
	require.Equal(t, time.Second, after)
	require.True(t, steady.IsPermanent(idempotency.MaybeApplied(steady.Permanent(rejected(t)))))
	require.False(t, steady.IsPermanent(err))
}

// A codec whose keys another service has, behind a breaker.
type refusing struct{ err error }

func (c refusing) Marshal(any) ([]byte, error) { return []byte("secret"), nil }
func (c refusing) Unmarshal([]byte, any) error { return c.err }

func TestWhatCannotBeDecodedWasDoneAllTheSame(t *testing.T) {
	outer, inner := newGuard(t, idempotency.Config{OnUnknown: idempotency.Refuse}), newGuard(t, idempotency.Config{Codec: refusing{rejected(t)}})
	_, _ = do(t, inner, nil)
	ran := 0
	for range 3 {
		_, _, err := idempotency.Do(t.Context(), outer, "b", "", func(ctx context.Context) (int, error) {
			ran++
			_, _, err := idempotency.Do(ctx, inner, "a", "order", uncalled(t))
			require.ErrorIs(t, err, idempotency.ErrNotReplayable)
			_, is := steady.AsRejection(err)
			require.False(t, is)
			require.True(t, idempotency.IsFinal(err))
			return 0, err
		})
		require.ErrorIs(t, err, idempotency.ErrNotReplayable)
	}
	require.Equal(t, 1, ran)
}

func TestResolveTellsWhatItCannotStore(t *testing.T) {
	g := newGuard(t, idempotency.Config{OnUnknown: idempotency.Refuse, MaxOutcome: 10})
	_, _ = do(t, g, errLost)
	err := idempotency.Resolve(t.Context(), g, "a", "more than ten bytes", nil)
	require.EqualError(t, err, "idempotency: Resolve: the outcome cannot be stored: 21 bytes, more than MaxOutcome of 10")
	require.NoError(t, idempotency.Resolve(t.Context(), g, "a", 7, nil), "and it can be said again")
	require.ErrorIs(t, idempotency.Resolve(t.Context(), g, "", 7, nil), idempotency.ErrNoKey)
}

func TestAResolveThatFailsCanBeRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faulty{Store: newMemory(t, idempotency.MemoryConfig{}), finish: func() error { return errStoreDown }}
		g := newGuard(t, idempotency.Config{OnUnknown: idempotency.Refuse, Store: store})
		_, _ = do(t, g, errLost)
		err := idempotency.Resolve(t.Context(), g, "a", 7, nil)
		require.ErrorIs(t, err, errStoreDown)
		require.EqualValues(t, 3, store.finishes.Load())
		store.finish = nil
		require.NoError(t, idempotency.Resolve(t.Context(), g, "a", 7, nil), "at once")
		v, _, err := order(t, g, 8)
		require.NoError(t, err)
		require.Equal(t, 7, v)
	})
}

// What was released and may stay does not keep what is past retention.
func TestReleasedKeysKeepNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory(t, idempotency.MemoryConfig{MaxKeys: 1_000, MaxBytes: 4 * 500})
		for n := range 500 {
			key := keyOf(n)
			_, err := s.Begin(t.Context(), idempotency.Claim{Key: key, Token: "t", Lease: time.Minute, Keep: 24 * time.Hour})
			require.NoError(t, err)
			require.NoError(t, s.Release(t.Context(), key, "t"))
		}
		for n := range 500 {
			require.NoError(t, pass(t.Context(), s, keyOf(1_000+n), time.Hour))
		}
		require.Equal(t, idempotency.ErrFull, pass(t.Context(), s, keyOf(5_000), time.Hour))
		time.Sleep(time.Hour)
		for n := range 400 {
			require.NoError(t, pass(t.Context(), s, keyOf(6_000+n), time.Hour))
		}
		require.LessOrEqual(t, s.Stats().Bytes, 4*500)
	})
}

// A codec that ends the goroutine, which a t.FailNow in it does.
type ending struct{}

func (ending) Marshal(any) ([]byte, error) { runtime.Goexit(); return nil, nil }
func (ending) Unmarshal([]byte, any) error { return nil }

func TestACodecThatEndsTheGoroutineLeavesNoClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hook steadytest.Recorder
		g := newGuard(t, idempotency.Config{Codec: ending{}, Hook: &hook})
		_ = unwound(func() { _, _ = do(t, g, nil) })
		require.Zero(t, g.Stats().Running)
		require.EqualValues(t, 1, g.Stats().Left)
		events := hook.Events()
		require.Len(t, events, 1)
		require.Equal(t, "left unknown", events[0].Reason)
		info, err := do(t, g, idempotency.Final(errDeclined))
		require.Equal(t, idempotency.Final(errDeclined), err)
		require.True(t, info.Recovered, "and nobody waits for a lease")
		time.Sleep(time.Hour) // nothing goes on
		runtime.KeepAlive(g)
	})
}

// Whatever is said of it, an outcome stays within its bound.
func TestReasonsAreBoundedToo(t *testing.T) {
	s := newMemory(t, idempotency.MemoryConfig{})
	g := newGuard(t, idempotency.Config{Store: s})
	long := strings.Repeat("long ", 1<<20)
	for key, err := range map[string]error{"a": idempotency.Unreplayable(errors.New(long)), "b": idempotency.Final(errors.New(long))} {
		_, _, got := idempotency.Do(t.Context(), g, key, "", func(context.Context) (int, error) { return 0, err })
		require.Equal(t, err, got)
		_, _, got = idempotency.Do(t.Context(), g, key, "", uncalled(t))
		require.ErrorIs(t, got, idempotency.ErrNotReplayable)
	}
	require.Less(t, s.Stats().Bytes, 4<<10)
}

// A key that is there needs no room.
func TestAskingForAKeyForgetsNoOther(t *testing.T) {
	s := newMemory(t, idempotency.MemoryConfig{MaxKeys: 2})
	require.NoError(t, pass(t.Context(), s, keyOf(1), time.Hour))
	claim := idempotency.Claim{Key: keyOf(2), Token: "t", Fingerprint: keyOf(2), Lease: time.Minute, Keep: time.Hour}
	_, err := s.Begin(t.Context(), claim)
	require.NoError(t, err)
	require.NoError(t, s.Release(t.Context(), claim.Key, "t"))
	g, err := s.Begin(t.Context(), idempotency.Claim{Key: keyOf(1), Token: "u", Fingerprint: keyOf(1), Lease: time.Minute, Keep: time.Hour})
	require.NoError(t, err)
	require.Equal(t, idempotency.Done, g.Status)
	g, err = s.Begin(t.Context(), claim)
	require.NoError(t, err)
	require.Equal(t, 2, g.Attempt, "the released one is remembered")
}
