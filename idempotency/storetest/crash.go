//go:build unix

package storetest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/idempotency"
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

// Main makes a process of the test binary a worker if [TestCrashes] has started it as one, and does not return then. Call it in
// TestMain. open opens the store that [Crashes] tells of.
func Main(open func(source string) (idempotency.Store, error)) {
	text := os.Getenv(workVariable)
	if text == "" {
		return
	}
	var w work
	err := json.Unmarshal([]byte(text), &w)
	if err == nil {
		err = w.do(open)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "storetest: worker:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// workVariable holds the work of a worker, as JSON.
const workVariable = "STEADY_STORETEST_WORK"

// A work is what a worker process does: it asks for keys, each several times, until all are acknowledged.
type work struct {
	Mode    string // "stopped" and "next": see stop and takeOver
	Source  string
	Journal string
	From    int // the first key
	To      int // after the last
	Point   string
	After   int // the worker kills itself when it has come to Point so often
	Seed    uint64
}

// Where a worker kills itself.
var points = []string{"before begin", "after begin", "in the call", "before finish", "after finish", "before release", "after release", "before extend"}

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

// do does the work.
func (w work) do(open func(source string) (idempotency.Store, error)) error {
	store, err := open(w.Source)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(w.Journal, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	watched := &watched{Store: store, work: w, journal: file}
	guard, err := idempotency.New(idempotency.Config{
		Store: watched, OnUnknown: idempotency.Rerun, Lease: crashLease, MaxRun: patience, Keep: long, Wait: patience,
	})
	if err != nil {
		return err
	}
	switch w.Mode {
	case "stopped":
		return w.stop(watched, guard)
	case "next":
		return w.takeOver(watched, guard)
	}
	random := rand.New(rand.NewPCG(w.Seed, 3))
	var keys []int
	for key := w.From; key < w.To; key++ {
		keys = append(keys, key, key) // the second is a duplicate
	}
	random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	var wg sync.WaitGroup
	errs := make([]error, hands)
	for hand := range hands {
		wg.Go(func() {
			for i := hand; i < len(keys) && errs[hand] == nil; i += hands {
				errs[hand] = watched.ask(guard, keys[i])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// ask asks for a key until there is an answer.
func (w *watched) ask(guard *idempotency.Guard, key int) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		v, info, err := idempotency.Do(ctx, guard, strconv.Itoa(key), "order", func(ctx context.Context) (string, error) {
			e, _ := idempotency.FromContext(ctx)
			w.write("run", e.Key, e.Attempt, e.Token)
			w.at("in the call")
			time.Sleep(time.Duration(rand.IntN(5)) * time.Millisecond)
			if w.work.Point == "before extend" {
				time.Sleep(crashLease)
			}
			if rand.IntN(6) == 0 || strings.HasSuffix(w.work.Point, "release") && rand.IntN(2) == 0 {
				w.write("releasing", e.Key, e.Attempt)
				return "", idempotency.NotApplied(errors.New("come back"))
			}
			return e.Token, nil
		})
		switch {
		case err == nil && info.Err == nil:
			w.write("acknowledged", strconv.Itoa(key), v)
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("key %d: %w", key, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// A watched store writes into a journal what is granted, and kills its process at a point.
type watched struct {
	idempotency.Store
	work    work
	journal *os.File

	mu   sync.Mutex
	come int // to the point
}

// write appends a line. What a process has written is there when it is killed.
func (w *watched) write(fields ...any) {
	if _, err := w.journal.WriteString(fmt.Sprintln(fields...)); err != nil {
		panic(err)
	}
}

func (w *watched) at(point string) {
	if w.work.Point != point {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.come++; w.come == w.work.After {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (w *watched) Begin(ctx context.Context, c idempotency.Claim) (idempotency.Grant, error) {
	w.at("before begin")
	g, err := w.Store.Begin(ctx, c)
	if err == nil && g.Status == idempotency.Acquired {
		w.write("granted", c.Key, g.Attempt, g.Fence, g.Recovered, c.Token)
		w.at("after begin")
	}
	return g, err
}

func (w *watched) Extend(ctx context.Context, key, token string, lease time.Duration) error {
	w.at("before extend")
	return w.Store.Extend(ctx, key, token, lease)
}

func (w *watched) Finish(ctx context.Context, key, token string, o idempotency.Outcome, keep time.Duration) error {
	w.at("before finish")
	err := w.Store.Finish(ctx, key, token, o, keep)
	w.at("after finish")
	return err
}

func (w *watched) Release(ctx context.Context, key, token string) error {
	w.at("before release")
	err := w.Store.Release(ctx, key, token)
	if err == nil {
		w.write("released", key, token)
	}
	w.at("after release")
	return err
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

// stop is the work of an owner that is stopped past its lease. What it then finds goes into the journal.
func (w work) stop(store *watched, guard *idempotency.Guard) error {
	ctx := context.Background()
	_, _, err := idempotency.Do(ctx, guard, "stopped", "order", func(ctx context.Context) (string, error) {
		e, _ := idempotency.FromContext(ctx)
		if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
			return "", err
		}
		select {
		case <-ctx.Done():
		case <-time.After(patience):
		}
		store.write("cause", errors.Is(context.Cause(ctx), idempotency.ErrLeaseLost))
		own := context.Background()
		store.write("extend", errors.Is(store.Store.Extend(own, e.Key, e.Token, time.Minute), idempotency.ErrLost))
		store.write("finish", errors.Is(store.Store.Finish(own, e.Key, e.Token, idempotency.Outcome("stale"), time.Minute), idempotency.ErrLost))
		store.write("release", errors.Is(store.Store.Release(own, e.Key, e.Token), idempotency.ErrLost))
		return "of the stale owner", nil
	})
	store.write("error", errors.Is(err, idempotency.ErrLost) && errors.Is(err, idempotency.ErrUnknown))
	v, info, err := idempotency.Do(ctx, guard, "stopped", "order", func(context.Context) (string, error) { return "again", nil })
	store.write("replay", info.Replayed && err == nil && v == "of the next owner")
	return nil
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

// takeOver is the work of who comes when the owner is stopped.
func (w work) takeOver(store *watched, guard *idempotency.Guard) error {
	v, info, err := idempotency.Do(context.Background(), guard, "stopped", "order", func(context.Context) (string, error) {
		return "of the next owner", nil
	})
	store.write("taken over", err == nil && info.Recovered && v == "of the next owner")
	return nil
}
