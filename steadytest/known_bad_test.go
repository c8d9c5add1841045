package steadytest_test

import (
	"context"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/steadytest"
)

// A test of tests: each known-bad policy and hook must fail. Since a failure, or a
// deadlocked bubble, would fail this test too, it runs in a process of its own.

// badPolicies maps the name of a fault to what the failing test must say.
var badPolicies = map[string]string{
	"leaks on panic":               "what the policy holds afterwards",
	"swallows panics":              "the panic that reached the caller",
	"loses Goexit":                 "whether Do returned",
	"starts on a done context":     "a call was started on a context that is done",
	"loses the cause":              "the cause of the context",
	"reports twice":                "outcomes of one Do",
	"reports nothing":              "events",
	"reports more after the end":   "the kind of the last event",
	"blames the caller's cancel":   "outcome",
	"replaces the error":           "boom",
	"leaves a goroutine":           "deadlock",
	"trusts the hook":              "the hook panics",
	"throws a late success away":   "context canceled",
	"lets one call block the rest": "deadlock",
	"makes a rejection of a call":  "whether the error is a rejection",
	"never starts a call":          "calls started",
}

// A badPolicy keeps all the rules but the one that fault names.
type badPolicy struct {
	fault string
	hook  steady.Hook
	held  atomic.Int64
	one   chan struct{}
}

func (p *badPolicy) emit(ctx context.Context, e steady.Event) {
	if p.fault == "reports nothing" {
		return
	}
	if p.fault != "trusts the hook" {
		defer func() { _ = recover() }()
	}
	p.hook.On(ctx, e)
}

// notStarted is a rejection, which a call that was started must not end in.
type notStarted struct{ error }

func (e notStarted) Unwrap() error                           { return e.error }
func (notStarted) RejectedBy() (policy, name, key string)    { return "bad", "", "" }
func (notStarted) RetryAfter() (d time.Duration, known bool) { return 0, false }

func (p *badPolicy) Do(ctx context.Context, call func(context.Context) error) (err error) {
	if ctx.Err() != nil && p.fault != "starts on a done context" {
		err := steady.ContextErr(ctx)
		if p.fault == "loses the cause" {
			err = ctx.Err()
		}
		p.emit(ctx, steady.Event{Kind: steady.KindRejected, Outcome: steady.Ignored, Err: err})
		return err
	}
	p.held.Add(1)
	start, returned := time.Now(), false
	defer func() {
		if returned || p.fault != "leaks on panic" {
			p.held.Add(-1)
		}
		e := steady.Event{Kind: steady.KindDone, Outcome: steady.Failure, Err: err}
		if returned {
			e.Outcome = steady.Classifier{}.Outcome(ctx, err, time.Since(start))
			if p.fault == "blames the caller's cancel" && ctx.Err() != nil {
				e.Outcome = steady.Failure
			}
		}
		p.emit(ctx, e)
		switch p.fault {
		case "reports twice":
			p.emit(ctx, e)
		case "reports more after the end":
			p.emit(ctx, steady.Event{Kind: steady.KindState, To: "closed"})
		}
	}()
	switch p.fault {
	case "swallows panics":
		defer func() {
			if recover() != nil {
				err, returned = errPlain, true
			}
		}()
	case "loses Goexit":
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			defer func() { _ = recover() }()
			err = call(ctx)
		}()
		<-ended
		returned = true
		return err
	case "leaves a goroutine":
		go func() { select {} }()
	case "lets one call block the rest":
		p.one <- struct{}{}
		defer func() { <-p.one }()
	case "never starts a call":
		returned = true
		return nil
	}
	err = call(ctx)
	returned = true
	switch {
	case p.fault == "replaces the error" && err != nil:
		return errPlain
	case p.fault == "makes a rejection of a call" && err != nil:
		return notStarted{err}
	case p.fault == "throws a late success away" && ctx.Err() != nil:
		return ctx.Err()
	}
	return err
}

var errPlain = os.ErrInvalid

func subject(fault string) steadytest.Subject {
	return steadytest.Subject{New: func(_ *testing.T, h steady.Hook) (steady.Policy, func() any) {
		p := &badPolicy{fault: fault, hook: h, one: make(chan struct{}, 1)}
		return p, func() any { return p.held.Load() }
	}}
}

// badHooks maps the name of a fault to what the failing test must say.
var badHooks = map[string]string{
	"panics on an unknown kind": "the hook panicked",
	"waits":                     "the hook waited",
	"leaves a goroutine behind": "deadlock",
	"panics without an error":   "the hook panicked",
}

func badHook(fault string) steady.Hook {
	return steady.HookFunc(func(ctx context.Context, e steady.Event) {
		switch {
		case fault == "panics on an unknown kind" && e.Kind > 100:
			panic("unknown kind")
		case fault == "waits":
			time.Sleep(time.Millisecond)
		case fault == "leaves a goroutine behind":
			go func() { select {} }()
		case fault == "panics without an error" && e.Kind == steady.KindDone:
			_ = e.Err.Error()
		}
	})
}

const helperFault = "STEADYTEST_FAULT"

// TestHelper runs as a process of its own, with the fault in its environment.
func TestHelper(t *testing.T) {
	fault := os.Getenv(helperFault)
	if _, ok := badPolicies[fault]; ok {
		steadytest.TestPolicy(t, subject(fault))
	}
	if _, ok := badHooks[fault]; ok {
		steadytest.TestHook(t, func(*testing.T) steady.Hook { return badHook(fault) })
	}
}

func requireCaught(t *testing.T, fault, says string) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelper$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), helperFault+"="+fault)
	out, err := cmd.CombinedOutput()
	require.Error(t, err, "the fault was not caught: %s", out)
	require.Contains(t, string(out), says)
}

func TestKnownBadPoliciesFail(t *testing.T) {
	for fault, says := range badPolicies {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			requireCaught(t, fault, says)
		})
	}
}

func TestKnownBadHooksFail(t *testing.T) {
	for fault, says := range badHooks {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			requireCaught(t, fault, says)
		})
	}
}

func TestGoodPolicyPasses(t *testing.T) { steadytest.TestPolicy(t, subject("")) }

func TestGoodHookPasses(t *testing.T) {
	steadytest.TestHook(t, func(*testing.T) steady.Hook { return new(steadytest.Recorder) })
}
