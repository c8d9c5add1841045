package traps

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A cell is one scenario against one library.
type cell struct {
	Scenario string
	Library  string
	Remedy   bool
}

// cellVariable is the environment variable that tells a process which cell it is.
const cellVariable = "STEADY_TRAPS_CELL"

// resultMark begins the line on which a process tells its result.
const resultMark = "steady-traps-result: "

// ServeCell runs the cell for which [Run] has started this process again, and
// exits. In any other process it does nothing. Call it first in main or TestMain.
func ServeCell() {
	spec, ok := os.LookupEnv(cellVariable)
	if !ok {
		return
	}
	var c cell
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	// A bubble needs a test, and a test outside of "go test" needs this.
	testing.Init()
	everything := func(_, _ string) (bool, error) { return true, nil }
	testing.Main(everything, []testing.InternalTest{{Name: "Cell", F: func(t *testing.T) {
		synctest.Test(t, func(*testing.T) {
			line, err := json.Marshal(c.run())
			if err != nil {
				panic(err)
			}
			fmt.Println("\n" + resultMark + string(line))
			// Whatever the scenario has left running goes with the process.
			os.Exit(0)
		})
	}}}, nil, nil)
}

// rehearsals are cells that do not come to a verdict, each in its own way, to test
// that all ways are told apart.
var rehearsals = map[string]func(){
	"endless loop": func() {
		for {
			continue
		}
	},
	"own lock": func() {
		var mu sync.Mutex
		mu.Lock()
		mu.Lock()
	},
	"waits for ever": func() { select {} },
	"fatal error":    func() { new(sync.Mutex).Unlock() },
	"panic":          func() { go panic("in a goroutine"); select {} },
	"exit":           func() { os.Exit(3) },
}

// run runs the cell in this process.
func (c cell) run() Result {
	if rehearsal, ok := rehearsals[c.Scenario]; ok {
		rehearsal()
	}
	for _, s := range Scenarios {
		if s.ID != c.Scenario {
			continue
		}
		if c.Library == Broken && s.Broken != nil {
			return s.Run(*s.Broken, false)
		}
		for _, l := range Libraries {
			if l.Name == c.Library {
				return s.Run(l, c.Remedy)
			}
		}
	}
	return fail("there is no such cell: %+v", c)
}

// patience is how long a cell may take. What ends at all does so in a fraction of
// a second, since its time is virtual.
const patience = 6 * time.Second

// start runs the cell in a process of its own.
func (c cell) start(ctx context.Context, program string) Result {
	spec, err := json.Marshal(c)
	if err != nil {
		return fail("%v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), cellVariable+"="+string(spec), "GOTRACEBACK=all",
		"GORACE=atexit_sleep_ms=0") // the race detector would wait for a second in each
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// On SIGQUIT a Go program tells where its goroutines are.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	cmd.WaitDelay = 2 * time.Second
	err = cmd.Run()
	if _, line, ok := strings.Cut(stdout.String(), resultMark); ok {
		var r Result
		if err := json.Unmarshal([]byte(strings.SplitN(line, "\n", 2)[0]), &r); err != nil {
			return fail("told no result: %v", err)
		}
		return r
	}
	said := stdout.String() + stderr.String()
	switch {
	case ctx.Err() != nil:
		return Result{Hang, "hangs: " + whereItHangs(said)}
	case strings.Contains(said, "deadlock: "):
		return Result{Hang, "hangs: everybody waits for ever"}
	case err == nil:
		err = errors.New("no result")
	}
	return Result{Crash, "kills the process: " + lastWords(said, err)}
}

// whereItHangs tells from the traces of all goroutines why a process did not end.
func whereItHangs(traces string) string {
	switch {
	case strings.Contains(traces, "[sync.Mutex.Lock"), strings.Contains(traces, "[sync.RWMutex."):
		return "deadlock, it waits for its own lock"
	case strings.Contains(traces, "[running"), strings.Contains(traces, "[runnable"):
		return "an endless loop"
	}
	return "no answer"
}

var (
	fatalLine = regexp.MustCompile(`(?m)^\s*fatal error: .*`)
	panicLine = regexp.MustCompile(`(?m)^panic: .*`)
)

// lastWords is the line by which a process told why it died. A fatal error, which
// nobody can recover from, says more than the panic that it may have come from.
func lastWords(said string, err error) string {
	line := cmp.Or(fatalLine.FindString(said), panicLine.FindString(said), err.Error())
	return strings.TrimSuffix(strings.TrimSpace(line), " [recovered, repanicked]")
}
