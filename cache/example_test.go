package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/cache"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/timeout"
)

// newLoads returns a hook that tells by the channel that a load has ended, and its value is
// stored. The examples wait for what a service does not: a load in the background.
func newLoads() (steady.Hook, <-chan struct{}) {
	ended := make(chan struct{}, 100)
	return steady.HookFunc(func(_ context.Context, e steady.Event) {
		if e.Kind == steady.KindLoaded {
			ended <- struct{}{}
		}
	}), ended
}

func ExampleNew() {
	_, err := cache.New[string, int](cache.Config{
		Fresh:                time.Minute,
		StaleWhileRevalidate: time.Hour,
		StaleIfError:         time.Minute,
	})
	fmt.Println(err)
	// Output:
	// cache: Config.MaxEntries must be between 1 and 1073741824, got 0
	// cache: Config.StaleIfError must be 0, or > StaleWhileRevalidate, got 1m0s
	// cache: Config.LoadTimeout must be > 0, got 0s
}

// A key holds all that the answer depends on: whose it is, and who may see it.
func ExampleMustNew() {
	type key struct{ tenant, role, invoice string }
	totals := cache.MustNew[key, int](cache.Config{
		Name:         "totals",
		MaxEntries:   10_000,
		Fresh:        time.Minute,
		StaleIfError: time.Hour,
		LoadTimeout:  2 * time.Second,
	})
	defer totals.Close()

	database := map[string]int{"acme": 120, "globex": 80}
	for _, tenant := range []string{"acme", "globex"} {
		total, _, err := totals.Get(context.Background(), key{tenant, "clerk", "4711"}, func(context.Context) (int, error) {
			return database[tenant], nil
		})
		fmt.Println(tenant, total, err)
	}
	// Output:
	// acme 120 <nil>
	// globex 80 <nil>
}

func ExampleCache_Get() {
	users := cache.MustNew[string, string](cache.Config{MaxEntries: 100, Fresh: time.Minute, LoadTimeout: time.Second})
	load := func(context.Context) (string, error) {
		fmt.Println("asking the database")
		return "Ada", nil
	}
	for range 2 {
		name, meta, err := users.Get(context.Background(), "7", load)
		fmt.Println(name, meta.Source, err)
	}
	// Output:
	// asking the database
	// Ada loaded <nil>
	// Ada fresh <nil>
}

// Late in its time an entry is still fresh, and the first who asks has it loaded anew without
// waiting for that.
func ExampleCache_Get_refreshAhead() {
	hook, loaded := newLoads()
	rates := cache.MustNew[string, int](cache.Config{
		MaxEntries: 100, Fresh: time.Hour, LoadTimeout: time.Second, Hook: hook,
		RefreshAhead: 0.000_001, // of an hour, to wait for no longer than this example may
	})
	n := 0
	load := func(context.Context) (int, error) { n++; return n, nil }

	get := func() {
		rate, meta, _ := rates.Get(context.Background(), "EUR", load)
		fmt.Println(rate, meta.Source)
	}
	get()
	<-loaded
	time.Sleep(4 * time.Millisecond)
	get()
	<-loaded
	get()
	// Output:
	// 1 loaded
	// 1 fresh
	// 2 fresh
}

// For a while after its time an entry is still returned at once, and loaded anew in the
// background.
func ExampleCache_Get_staleWhileRevalidate() {
	hook, loaded := newLoads()
	rates := cache.MustNew[string, int](cache.Config{
		MaxEntries: 100, Fresh: time.Millisecond, StaleWhileRevalidate: time.Hour, LoadTimeout: time.Second, Hook: hook,
	})
	n := 0
	load := func(context.Context) (int, error) { n++; return n, nil }

	rates.Set("EUR", 0)
	time.Sleep(2 * time.Millisecond)
	rate, meta, err := rates.Get(context.Background(), "EUR", load)
	fmt.Println(rate, meta.Source, err)

	<-loaded
	rate, _, _ = rates.Peek("EUR")
	fmt.Println(rate)
	// Output:
	// 0 stale <nil>
	// 1
}

// Later a caller waits for the load. When that fails, an old answer is better than none.
func ExampleCache_Get_staleIfError() {
	rates := cache.MustNew[string, int](cache.Config{
		MaxEntries: 100, Fresh: time.Millisecond, StaleIfError: time.Hour, LoadTimeout: time.Second,
	})
	down := func(context.Context) (int, error) { return 0, errors.New("connection refused") }

	rates.Set("EUR", 1)
	time.Sleep(2 * time.Millisecond)
	rate, meta, err := rates.Get(context.Background(), "EUR", down)
	fmt.Println(rate, err)
	fmt.Println(meta.Source, "because of:", meta.Err)

	_, _, err = rates.Get(context.Background(), "USD", down) // of which there is nothing
	fmt.Println(err)
	// Output:
	// 1 <nil>
	// stale on error because of: connection refused
	// connection refused
}

// A caller whose deadline comes first gets the old answer, too. The load goes on without it, for
// those who come next.
func ExampleCache_Get_deadline() {
	rates := cache.MustNew[string, int](cache.Config{
		MaxEntries: 100, Fresh: time.Millisecond, StaleIfError: time.Hour, LoadTimeout: time.Second,
	})
	answer := make(chan struct{})
	slow := func(context.Context) (int, error) {
		<-answer
		return 2, nil
	}

	rates.Set("EUR", 1)
	time.Sleep(2 * time.Millisecond)
	ctx, leave := context.WithTimeout(context.Background(), time.Millisecond)
	defer leave()
	rate, meta, err := rates.Get(ctx, "EUR", slow)
	fmt.Println(rate, err)
	fmt.Println(meta.Source, "because of:", meta.Err)

	close(answer)
	rate, _, err = rates.Get(context.Background(), "EUR", slow)
	fmt.Println(rate, err)
	// Output:
	// 1 <nil>
	// stale on error because of: context deadline exceeded
	// 2 <nil>
}

// That there is nothing is an answer as well. It is remembered for a while, so that who asks for what does not
// exist asks the cache.
func ExampleNotFound() {
	users := cache.MustNew[string, string](cache.Config{
		MaxEntries: 100, Fresh: time.Minute, NegativeFor: 10 * time.Second, LoadTimeout: time.Second,
	})
	load := func(context.Context) (string, error) {
		fmt.Println("asking the database")
		return "", cache.NotFound(errors.New("404 not found"))
	}
	for range 2 {
		_, meta, err := users.Get(context.Background(), "nobody", load)
		fmt.Println(meta.Source, err, errors.Is(err, cache.ErrNotFound))
	}

	users.Set("nobody", "Nemo") // who has made it tells so
	name, meta, err := users.Get(context.Background(), "nobody", load)
	fmt.Println(meta.Source, name, err)
	// Output:
	// asking the database
	// loaded 404 not found true
	// negative 404 not found true
	// fresh Nemo <nil>
}

// Several keys cost one call, for those of them that are not there.
func ExampleCache_GetMany() {
	prices := cache.MustNew[string, int](cache.Config{MaxEntries: 100, Fresh: time.Minute, LoadTimeout: time.Second})
	prices.Set("apple", 30)

	items, err := prices.GetMany(context.Background(), []string{"apple", "pear", "plum", "unicorn", "pear"},
		func(_ context.Context, keys []string) (map[string]int, error) {
			fmt.Println("asking for", keys)
			return map[string]int{"pear": 40, "plum": 20}, nil
		})
	fmt.Println(err)
	for _, key := range []string{"apple", "pear", "plum", "unicorn"} {
		item, ok := items[key]
		fmt.Println(key, item.Value, item.Meta.Source, ok)
	}
	// Output:
	// asking for [pear plum unicorn]
	// <nil>
	// apple 30 fresh true
	// pear 40 loaded true
	// plum 20 loaded true
	// unicorn 0 none false
}

// After a write the writer knows the value. To set it is better than to invalidate: if the origin goes
// down next, there is something to answer with.
func ExampleCache_Set() {
	names := cache.MustNew[string, string](cache.Config{MaxEntries: 100, Fresh: time.Minute, StaleIfError: time.Hour, LoadTimeout: time.Second})
	rename := func(id, name string) {
		// Write it to the database, and then:
		names.Set(id, name)
	}
	rename("7", "Lovelace")
	name, meta, _ := names.Get(context.Background(), "7", func(context.Context) (string, error) {
		return "", errors.New("connection refused")
	})
	fmt.Println(name, meta.Source)
	// Output: Lovelace fresh
}

// A load that began before a write may bring what was there before. Invalidate keeps that from being
// stored: it goes to those who were waiting, and who asks afterwards loads anew.
func ExampleCache_Invalidate() {
	stock := cache.MustNew[string, int](cache.Config{MaxEntries: 100, Fresh: time.Minute, LoadTimeout: time.Second})
	read, goOn := make(chan struct{}), make(chan struct{})
	database := 5

	early := make(chan int)
	go func() {
		n, _, _ := stock.Get(context.Background(), "book", func(context.Context) (int, error) {
			n := database
			close(read) // and the answer takes its time
			<-goOn
			return n, nil
		})
		early <- n
	}()
	<-read
	database = 4
	stock.Invalidate("book")
	n, meta, _ := stock.Get(context.Background(), "book", func(context.Context) (int, error) { return database, nil })
	fmt.Println("after the write:", n, meta.Source)

	close(goOn)
	fmt.Println("who came before it:", <-early)
	n, meta, _ = stock.Peek("book")
	fmt.Println("in the cache:", n, meta.Source)
	// Output:
	// after the write: 4 loaded
	// who came before it: 5
	// in the cache: 4 fresh
}

// MaxLoads is a bulkhead for the origin. Beyond it, who asks for what is not there is refused, and who asks for
// what is stale gets that.
func ExampleConfig_maxLoads() {
	pages := cache.MustNew[string, string](cache.Config{
		MaxEntries: 100, Fresh: time.Millisecond, StaleIfError: time.Hour, LoadTimeout: time.Second,
		MaxLoads: 1,
	})
	pages.Set("/", "welcome")
	time.Sleep(2 * time.Millisecond)

	_, _, _ = pages.Get(context.Background(), "/slow", func(ctx context.Context) (string, error) {
		// While this one is loaded:
		none := func(context.Context) (string, error) { return "", nil }
		_, _, err := pages.Get(ctx, "/other", none)
		fmt.Println(err, errors.Is(err, cache.ErrOverloaded))
		page, meta, err := pages.Get(ctx, "/", none)
		fmt.Println(page, err)
		fmt.Println(meta.Source, "because of:", meta.Err)
		return "done", nil
	})
	// Output:
	// cache: too many loads true
	// welcome <nil>
	// stale on error because of: cache: too many loads
}

// StaleIf tells what must be known at once: here, all that the origin says of the request itself. Without it,
// that is what is marked by steady.Permanent.
func ExampleConfig_staleIf() {
	files := cache.MustNew[string, string](cache.Config{
		MaxEntries: 100, Fresh: time.Millisecond, StaleIfError: time.Hour, LoadTimeout: time.Second,
		StaleIf: func(err error) bool {
			status, ok := errors.AsType[statusError](err)
			return !ok || status >= 500
		},
	})
	for _, status := range []statusError{503, 403} {
		files.Set("ada/plan.txt", "secret")
		time.Sleep(2 * time.Millisecond)
		text, meta, err := files.Get(context.Background(), "ada/plan.txt", func(context.Context) (string, error) {
			return "", status
		})
		fmt.Printf("%d: %q, %v, error: %v\n", status, text, meta.Source, err)
	}
	// Output:
	// 503: "secret", stale on error, error: <nil>
	// 403: "", none, error: status 403
}

type statusError int

func (e statusError) Error() string { return fmt.Sprintf("status %d", int(e)) }

// Close ends the loads that are under way, and waits for them.
func ExampleCache_Close() {
	users := cache.MustNew[string, string](cache.Config{Name: "users", MaxEntries: 100, Fresh: time.Minute, LoadTimeout: time.Second})
	loading, left := make(chan struct{}), make(chan error)
	go func() {
		_, _, err := users.Get(context.Background(), "7", func(ctx context.Context) (string, error) {
			close(loading)
			<-ctx.Done()
			return "", ctx.Err()
		})
		left <- err
	}()
	<-loading
	users.Close()
	err := <-left
	fmt.Println(err, errors.Is(err, cache.ErrClosed))
	// Output: cache: closed true
}

// The cache is outermost. Inside its load stand the policies that guard the origin; its LoadTimeout is their
// total timeout, and its MaxLoads their bulkhead.
func Example_composed() {
	users := cache.MustNew[string, string](cache.Config{
		MaxEntries: 100, Fresh: time.Minute, StaleIfError: time.Hour,
		LoadTimeout: 2 * time.Second, MaxLoads: 50,
	})
	guard := steady.Chain(
		retry.MustNew(retry.Config{Delay: time.Millisecond}),
		breaker.MustNew(breaker.Config{Name: "users"}),
		timeout.MustNew(timeout.Config{Limit: time.Second}),
	)
	fetch := func(ctx context.Context, id string) (string, error) {
		if steady.Attempt(ctx) == 1 {
			return "", errors.New("connection reset")
		}
		return "Ada", nil
	}

	name, meta, err := users.Get(context.Background(), "7", func(ctx context.Context) (string, error) {
		return steady.DoValue(ctx, guard, func(ctx context.Context) (string, error) { return fetch(ctx, "7") })
	})
	fmt.Println(name, meta.Source, err)
	// Output: Ada loaded <nil>
}

// What a cache has done so far.
func ExampleCache_Stats() {
	users := cache.MustNew[string, string](cache.Config{MaxEntries: 100, Fresh: time.Minute, LoadTimeout: time.Second})
	for _, id := range slices.Repeat([]string{"7", "8"}, 3) {
		_, _, _ = users.Get(context.Background(), id, func(context.Context) (string, error) { return "Ada", nil })
	}
	s := users.Stats()
	fmt.Println(s.Entries, "of", s.MaxEntries, "entries;", s.Fresh, "hits,", s.Loaded, "misses")
	// Output: 2 of 100 entries; 4 hits, 2 misses
}
