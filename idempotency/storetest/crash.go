//go:build unix

package storetest

import (
	"bufio"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Crashes are how a store that outlives its process is tested by [TestCrashes].
type Crashes struct {
	// Source tells the open of [Main], in the process of a worker, where the store is, such as the path of a file.
	Source string

	// Shared says that several processes may use the store at once.
	Shared bool

	// Restart kills the server of the store by SIGKILL and starts it anew. It is nil if the store has none.
	Restart func() error
}

// How many are killed, and what the workers are to do.
const (
	kills         = 25 // workers, by themselves at each point in turn, or by us at a moment of chance
	serverKills   = 5
	keysPerWorker = 12 // half of them those of the worker before
	hands         = 3  // that each worker asks with at once
	crashLease    = 300 * time.Millisecond
	patience      = 60 * time.Second
)

// TestCrashes has workers ask for keys, each of them again and again, and kills them by SIGKILL at named points and at moments of
// chance, and the server of the store too. After that each key must have been acknowledged with one value; each execution must have been granted once, with
// a fence above those before; and the executions must be as many as keys, recoveries and clean releases together. If the store is shared, an owner is stopped past its lease as well, and must be refused.
//
// It needs [Main] in the TestMain of the package, and takes about a minute.
func TestCrashes(t *testing.T, c Crashes) {
	t.Run("killed", c.testKilled)
	if c.Shared {
		t.Run("stopped", c.testStopped)
	}
}

func (c Crashes) testKilled(t *testing.T) {
	journal := filepath.Join(t.TempDir(), "journal")
	random := rand.New(rand.NewPCG(1, 2))
	died := map[string]int{}
	killed, n := 0, 0
	next := func() work {
		n++
		return work{Source: c.Source, Journal: journal, From: n * keysPerWorker / 2, To: n*keysPerWorker/2 + keysPerWorker, Seed: uint64(n)}
	}
	// A worker may be through before it comes to its point, since the other has done its work; then the point is due once more.
	missing := func() (all []string) {
		for _, point := range points {
			if died[point] == 0 {
				all = append(all, point)
			}
		}
		return all
	}
	for killed < kills || len(missing()) > 0 {
		require.Less(t, n, 8*kills, "workers that were to be killed: %v", died)
		w, how := next(), "at a moment of chance"
		if due := missing(); killed >= kills {
			w.Point, w.After = due[0], 1
		} else if n%4 != 0 {
			w.Point, w.After = points[(n-n/4)%len(points)], 1+random.IntN(2)
		}
		if w.Point != "" {
			how = w.Point
		}
		workers := c.startTwo(t, w)
		if w.Point == "" {
			time.Sleep(time.Duration(5+random.IntN(100)) * time.Millisecond)
			_ = workers[0].Process.Kill()
		}
		for i, cmd := range workers {
			switch err := wait(t, cmd); {
			case i == 0 && wasKilled(err):
				died[how]++
				killed++
			default:
				require.NoError(t, err, "worker")
			}
		}
	}
	for range serverKills {
		if c.Restart == nil {
			break
		}
		workers := c.startTwo(t, next())
		time.Sleep(time.Duration(20+random.IntN(200)) * time.Millisecond)
		require.NoError(t, c.Restart())
		died["server"]++
		for _, cmd := range workers {
			require.NoError(t, wait(t, cmd), "worker")
		}
	}
	last := start(t, work{Source: c.Source, Journal: journal, From: keysPerWorker / 2, To: (n + 2) * keysPerWorker / 2, Seed: 77})
	require.NoError(t, wait(t, last))
	t.Logf("killed: %v", died)
	check(t, journal, killed+2*died["server"]*hands)
}

// startTwo starts a worker and, if the store is shared, one with the same keys that lives.
func (c Crashes) startTwo(t *testing.T, w work) []*exec.Cmd {
	t.Helper()
	workers := []*exec.Cmd{start(t, w)}
	if c.Shared {
		w.Point = ""
		w.Seed += 1000
		workers = append(workers, start(t, w))
	}
	return workers
}

// start starts a worker.
func start(t *testing.T, w work) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(w)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), workVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	return cmd
}

// wait waits for a worker, which ends by itself unless something hangs.
func wait(t *testing.T, cmd *exec.Cmd) error {
	t.Helper()
	late := time.AfterFunc(2*patience, func() { _ = cmd.Process.Signal(syscall.SIGABRT) })
	defer late.Stop()
	return cmd.Wait()
}

func wasKilled(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	return ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
}

// A history is what the journal tells of one key.
type history struct {
	granted   map[int]grant // by attempt
	releasing map[int]bool
	released  map[string]bool // by token
	runs      map[string]int  // by token
}

type grant struct {
	fence     uint64
	recovered bool
	token     string
}

// check reads a journal and requires what must hold.
func check(t *testing.T, journal string, killed int) {
	t.Helper()
	file, err := os.Open(journal)
	require.NoError(t, err)
	defer file.Close()
	histories := map[string]*history{}
	of := func(key string) *history {
		if histories[key] == nil {
			histories[key] = &history{map[int]grant{}, map[int]bool{}, map[string]bool{}, map[string]int{}}
		}
		return histories[key]
	}
	acknowledged := map[string]string{}
	answers := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		f := strings.Fields(lines.Text())
		switch f[0] {
		case "granted":
			g := grant{fence: number[uint64](t, f[3]), recovered: f[4] == "true", token: f[5]}
			attempt := number[int](t, f[2])
			before, again := of(f[1]).granted[attempt]
			require.True(t, !again || before == g, "attempt %d of %s was granted to two: %v and %v", attempt, f[1], before, g)
			of(f[1]).granted[attempt] = g
		case "run":
			of(f[1]).runs[f[3]]++
			require.Equal(t, 1, of(f[1]).runs[f[3]], "executions by one grant")
		case "releasing":
			of(f[1]).releasing[number[int](t, f[2])] = true
		case "released":
			of(f[1]).released[f[2]] = true
		case "acknowledged":
			answers++
			before, again := acknowledged[f[1]]
			require.True(t, !again || before == f[2], "key %s was acknowledged with %s and %s", f[1], before, f[2])
			acknowledged[f[1]] = f[2]
		}
	}
	require.Len(t, acknowledged, len(histories), "keys that were acknowledged")

	executions, recoveries, releases, unseen := 0, 0, 0, 0
	for key, h := range histories {
		last := 0
		for attempt := range h.granted {
			last = max(last, attempt)
		}
		executions += last
		var fence uint64
		for attempt := 1; attempt <= last; attempt++ {
			g, seen := h.granted[attempt]
			before, seenBefore := h.granted[attempt-1]
			clean := h.released[before.token] && !before.recovered
			switch {
			case !seen: // it was killed between the store and the journal
				unseen++
				if attempt > 1 && clean {
					releases++
				} else if attempt > 1 {
					recoveries++
				}
				continue
			case attempt == 1:
				require.False(t, g.recovered, "the first attempt is none")
			case g.recovered:
				recoveries++
				require.False(t, clean, "attempt %d of %s is a recovery, though the one before was released", attempt, key)
			default:
				releases++
				// Of one whose grant was lost on the way the guard says that it did nothing.
				require.True(t, clean || h.releasing[attempt-1] && !before.recovered || !seenBefore, "attempt %d of %s is no recovery, though the one before was not released", attempt, key)
			}
			require.Greater(t, g.fence, fence, "fence of attempt %d", attempt)
			fence = g.fence
		}
	}
	t.Logf("%d keys, %d answers, %d executions, %d recoveries, %d clean releases, %d grants that nobody saw", len(histories), answers, executions, recoveries, releases, unseen)
	require.Equal(t, len(histories)+recoveries+releases, executions)
	require.LessOrEqual(t, unseen, killed)
	require.Positive(t, recoveries, "what was to be tested")
	require.Positive(t, releases, "what was to be tested")
}

func number[T int | uint64](t *testing.T, s string) T {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 64)
	require.NoError(t, err)
	return T(n)
}

func (c Crashes) testStopped(t *testing.T) {
	journal := filepath.Join(t.TempDir(), "journal")
	owner := start(t, work{Source: c.Source, Journal: journal, Mode: "stopped"})
	var status syscall.WaitStatus
	_, err := syscall.Wait4(owner.Process.Pid, &status, syscall.WUNTRACED, nil)
	require.NoError(t, err)
	require.True(t, status.Stopped(), "%v", status)

	next := start(t, work{Source: c.Source, Journal: journal, Mode: "next"})
	require.NoError(t, wait(t, next))
	require.NoError(t, owner.Process.Signal(syscall.SIGCONT))
	require.NoError(t, wait(t, owner))
	text, err := os.ReadFile(journal)
	require.NoError(t, err)
	var found []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "granted") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	require.Equal(t, []string{"taken over true", "cause true", "extend true", "finish true", "release true", "error true", "replay true"}, found)
}
