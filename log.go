package steady

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
)

// LogHook returns a hook that writes to l, one record an event: changes of state
// (but for the first), abandoned calls and those that panicked later at level Warn,
// failed calls and loads, rejections, in a dry run too, retries and injected faults at Info, the
// rest at Debug. It allocates nothing for an event whose level is off. If
// l is nil it writes to [slog.Default] as of now.
func LogHook(l *slog.Logger) Hook { return logHook{cmp.Or(l, slog.Default())} }

type logHook struct{ log *slog.Logger }

func (h logHook) On(ctx context.Context, e Event) {
	level := logLevel(e)
	if !h.log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 13)
	str := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	str("policy", e.Policy)
	str("name", e.Name)
	str("key", e.Key)
	if e.Outcome != 0 {
		str("outcome", e.Outcome.String())
	}
	str("from", e.From)
	str("to", e.To)
	str("reason", e.Reason)
	if e.Attempt != 0 {
		attrs = append(attrs, slog.Int("attempt", e.Attempt))
	}
	if e.Duration != 0 {
		attrs = append(attrs, slog.Duration("duration", e.Duration))
	}
	if e.Wait != 0 {
		attrs = append(attrs, slog.Duration("wait", e.Wait))
	}
	if e.Delay != 0 {
		attrs = append(attrs, slog.Duration("delay", e.Delay))
	}
	if e.Age != 0 {
		attrs = append(attrs, slog.Duration("age", e.Age))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.Any("error", e.Err))
	}
	h.log.LogAttrs(ctx, level, "steady: "+e.Kind.String(), attrs...)
}

func logLevel(e Event) slog.Level {
	switch {
	case e.Kind == KindState && e.From != "" && e.To != "", e.Kind == KindAbandoned, e.Kind == KindLate && errors.Is(e.Err, ErrNoReturn):
		return slog.LevelWarn
	case e.Kind == KindState, e.Kind == KindRejected, e.Kind == KindRetry, e.Kind == KindDryRun, e.Kind == KindInjected:
		return slog.LevelInfo
	case (e.Kind == KindDone || e.Kind == KindLoaded) && e.Outcome == Failure:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}
