// Package deadline tells when a deadline has passed, also to clients that keep it
// themselves.
package deadline

import (
	"context"
	"errors"
	"os"
	"time"
)

// Is reports whether err says that a deadline has passed. That of a net.Conn does
// not match the context's.
func Is(err error) bool {
	return err != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded))
}

// Passed reports whether the deadline of ctx has passed by the clock. A client that
// keeps it itself may be a moment ahead of the context.
func Passed(ctx context.Context) bool {
	d, ok := ctx.Deadline()
	return ok && !time.Now().Before(d)
}
