package timeout

import (
	"os"
	"time"
)

// OnALine is the variable of the environment with which the tests of this package are
// run with the [line] that programs use outside of bubbles, once their calls are known
// to do no more than wait.
const OnALine = "STEADY_TEST_ON_A_LINE"

func init() { linesEverywhere = os.Getenv(OnALine) != "" }

// LinesEverywhere reports whether they are.
func LinesEverywhere() bool { return linesEverywhere }

// NewOnALine is MustNew for a Timeout whose calls are known to do no more than wait.
func NewOnALine(limit time.Duration) *Timeout {
	t := MustNew(Config{Limit: limit})
	t.habit.waits.Store(enough)
	return t
}

// InLine returns how many contexts are in the line of t.
func (t *Timeout) InLine() (n int) {
	t.line.mu.Lock()
	defer t.line.mu.Unlock()
	for c := t.line.first; c != nil; c = c.next {
		n++
	}
	return n
}

// Enough is how many calls have to wait until a Timeout knows that they do.
const Enough = enough
