package traps

import (
	"context"
	"os"
)

// Rehearse runs one of the rehearsals in a process of its own.
func Rehearse(ctx context.Context, name string) Result {
	program, err := os.Executable()
	if err != nil {
		return fail("%v", err)
	}
	return cell{Scenario: name}.start(ctx, program)
}
