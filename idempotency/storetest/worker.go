//go:build unix

package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/steady-go/steady/idempotency"
)

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

// takeOver is the work of who comes when the owner is stopped.
func (w work) takeOver(store *watched, guard *idempotency.Guard) error {
	v, info, err := idempotency.Do(context.Background(), guard, "stopped", "order", func(context.Context) (string, error) {
		return "of the next owner", nil
	})
	store.write("taken over", err == nil && info.Recovered && v == "of the next owner")
	return nil
}
