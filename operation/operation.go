// Package operation watches what a caller asks for as a whole. It changes nothing: it
// stands outermost, around all other policies, and reports how each call ends for who
// made it. That is the service level to keep, and to be alarmed about; what the
// policies further in report is why it is kept or not.
//
//	checkout := steady.Chain(
//		operation.MustNew(operation.Config{Name: "checkout", Hook: hook}),
//		timeout.MustNew(…), bulkhead.MustNew(…), retry.MustNew(…), …
//	)
//
// For a policy further in, a rejection is no failure: the call was never started, so it
// says nothing about what is called. For the caller it is one, whoever refused. That is
// what an operation counts otherwise than the rest.
package operation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/chain"
	"github.com/steady-go/steady/internal/check"
	"github.com/steady-go/steady/internal/report"
)

// Config is the configuration of an [Operation]. Name is required.
type Config struct {
	// Name tells operations apart in events. There is no default: it is what objectives
	// and alarms are set for. Take what the caller would call it, such as "checkout".
	Name string

	// Classify judges errors, those of rejections by policies further in included, and is
	// not asked once the caller has cancelled. nil means that all are failures. A result
	// that is neither Success nor Ignored counts as Failure. It may be called by several
	// goroutines at once.
	Classify func(error) steady.Outcome

	// Hook hears of every call. nil means nobody.
	Hook steady.Hook
}

// An Operation reports how calls end. It is a [steady.Policy], made by [New], may be used
// by several goroutines at once, and needs no closing.
type Operation struct {
	classify func(error) steady.Outcome
	report   report.Reporter
}

// New returns an operation, or an error that names every fault of c.
func New(c Config) (*Operation, error) {
	f := check.Config("operation: Config")
	f.Require(c.Name != "", "Name", "be set", fmt.Sprintf("%q", c.Name))
	if err := f.Err(); err != nil {
		return nil, err
	}
	o := &Operation{classify: c.Classify}
	o.report.Init(c.Hook, "operation", c.Name, "")
	report.Introduce(&o.report, o)
	return o, nil
}

// MustNew is like [New] but panics on an error.
func MustNew(c Config) *Operation { return check.Must(New(c)) }

// Do makes call and returns its error untouched.
//
// The hook hears of a success, of a failure, or of a call that is ignored: one that its
// caller cancelled. When the caller's deadline has passed that is a failure, however
// early it was, and if it had before the call came: nobody got an answer. A call whose
// caller has cancelled before is rejected, as everywhere.
func (o *Operation) Do(ctx context.Context, call func(context.Context) error) (err error) {
	if err := steady.ContextErr(ctx); err != nil {
		return o.notStarted(ctx, err)
	}
	if !o.report.On() {
		return call(ctx)
	}
	start := time.Now()
	returned := false
	defer func() { o.done(ctx, time.Since(start), returned, err) }()
	err = call(ctx)
	returned = true
	return err
}

// notStarted reports a call that comes with a context that is done, and returns err.
func (o *Operation) notStarted(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return o.report.ContextDone(ctx, 0)
	}
	o.report.Emit(ctx, steady.Event{Kind: steady.KindDone, Outcome: steady.Failure, Err: err})
	return err
}

// done reports the end of a call. Classify is the user's, and may panic.
func (o *Operation) done(ctx context.Context, ran time.Duration, returned bool, err error) {
	e := steady.Event{Kind: steady.KindDone, Outcome: steady.Failure, Duration: ran, Err: err}
	defer func() { o.report.Emit(ctx, e) }()
	switch {
	case !returned:
		e.Err = steady.ErrNoReturn
	case err == nil:
		e.Outcome = steady.Success
	case errors.Is(ctx.Err(), context.Canceled):
		e.Outcome = steady.Ignored
	case o.classify != nil:
		if judged := o.classify(err); judged == steady.Success || judged == steady.Ignored {
			e.Outcome = judged
		}
	}
}

// Link is how [steady.Chain] runs an Operation without allocating; it is of no other use.
func (o *Operation) Link() chain.Link { return chain.Link{Of: o, Do: o.doNext} }

func (o *Operation) doNext(ctx context.Context, next chain.Next) error { return o.Do(ctx, next.Do) }

// Inspect implements [steady.Inspector].
func (o *Operation) Inspect() []steady.Status { return []steady.Status{o.report.Status()} }

// Stats is what an [Operation] holds at one moment.
type Stats struct {
	HookPanics uint64 // panics of the hook so far
}

// Stats returns the present counts. It is cheap, and safe at any time.
func (o *Operation) Stats() Stats { return Stats{HookPanics: o.report.Panics()} }
