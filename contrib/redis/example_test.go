package steadyredis_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/redis/go-redis/v9"

	steadyredis "github.com/steady-go/steady/contrib/redis"

	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/cache"
	"github.com/steady-go/steady/retry"
)

// exampleRedis returns a client of a Redis that the example has for itself.
func exampleRedis() (rdb *redis.Client, end func()) {
	s, err := newServer()
	if err != nil {
		log.Fatal(err)
	}
	rdb = s.connect()
	return rdb, func() {
		_ = rdb.Close()
		s.close()
	}
}

// Two processes of a service, each with a cache of its own, and one Redis.
func Example() {
	rdb, end := exampleRedis()
	defer end()

	type User struct{ Name string }
	database := map[string]User{"7": {"Ada"}}
	newService := func() (get func(id string) (User, error), rename func(id, name string) error) {
		users := cache.MustNew[string, User](cache.Config{
			MaxEntries:   10_000,
			Fresh:        10 * time.Second,
			StaleIfError: time.Hour,
			LoadTimeout:  3 * time.Second, // three times Lease
		})
		tier := steadyredis.MustNew[User](steadyredis.Config{
			Client: rdb,
			Prefix: "users/1:",
			Fresh:  10 * time.Minute,
			Lease:  time.Second, // the longest that the database may take
			Guard:  breaker.MustNew(breaker.Config{Name: "redis"}),
		})
		get = func(id string) (User, error) {
			user, _, err := users.Get(context.Background(), id, tier.Load(id, func(context.Context) (User, error) {
				fmt.Println("asking the database")
				return database[id], nil
			}))
			return user, err
		}
		rename = func(id, name string) error {
			database[id] = User{name}
			err := tier.Invalidate(context.Background(), id) // first the tier,
			users.Invalidate(id)                             // and then the cache
			return err
		}
		return get, rename
	}

	getHere, renameHere := newService()
	getThere, _ := newService()
	fmt.Println(getHere("7"))
	fmt.Println(getThere("7"))
	fmt.Println(renameHere("7", "Lovelace"))
	fmt.Println(getHere("7"))
	fmt.Println(getThere("7")) // which keeps what it has for its own Fresh
	// Output:
	// asking the database
	// {Ada} <nil>
	// {Ada} <nil>
	// <nil>
	// asking the database
	// {Lovelace} <nil>
	// {Ada} <nil>
}

func ExampleNew() {
	_, err := steadyredis.New[string](steadyredis.Config{
		Client: redis.NewClient(&redis.Options{Addr: "localhost:6379"}),
		Fresh:  time.Minute,
	})
	fmt.Println(err)
	// Output:
	// steadyredis: Config.Client must have ContextTimeoutEnabled, got false
	// steadyredis: Config.Prefix must be set, got ""
	// steadyredis: Config.Lease must be >= 1ms, got 0s
}

// A load that began before a write brings what was there before. Whoever waits for it gets that, but
// Redis does not.
func ExampleTier_Invalidate() {
	rdb, end := exampleRedis()
	defer end()
	stock := steadyredis.MustNew[int](steadyredis.Config{Client: rdb, Prefix: "stock/1:", Fresh: time.Hour, Lease: time.Second})

	database := 5
	n, _, _ := stock.Get(context.Background(), "book", func(ctx context.Context) (int, error) {
		n := database // and while the answer is on its way, another sells one
		database = 4
		return n, stock.Invalidate(ctx, "book")
	})
	fmt.Println("who came before it:", n)

	n, meta, _ := stock.Get(context.Background(), "book", func(context.Context) (int, error) { return database, nil })
	fmt.Println("after the write:", n, meta.Source)
	// Output:
	// who came before it: 5
	// after the write: 4 loaded
}

// What was written must be told. A retry makes it likelier that it is; what is left is known.
func ExampleTier_Invalidate_retry() {
	rdb, end := exampleRedis()
	end() // it is gone
	tier := steadyredis.MustNew[int](steadyredis.Config{
		Client: rdb, Prefix: "stock/1:", Fresh: time.Hour, Lease: time.Second, Timeout: 10 * time.Millisecond,
	})
	invalidate := retry.MustNew(retry.Config{Delay: time.Millisecond})

	err := invalidate.Do(context.Background(), func(ctx context.Context) error { return tier.Invalidate(ctx, "book") })
	fmt.Println(errors.Is(err, steadyredis.ErrMayBeStale))
	// Output: true
}

// Write drops the old value before the write, and stores the new one after it.
func ExampleTier_Write() {
	rdb, end := exampleRedis()
	defer end()
	names := steadyredis.MustNew[string](steadyredis.Config{Client: rdb, Prefix: "names/1:", Fresh: time.Hour, Lease: time.Second})
	first := cache.MustNew[string, string](cache.Config{MaxEntries: 100, Fresh: time.Minute, LoadTimeout: 3 * time.Second})

	name, err := names.Write(context.Background(), "7", func(context.Context) (string, error) {
		return "Lovelace", nil // having written it to the database
	})
	first.Invalidate("7")
	fmt.Println(name, err)

	name, meta, err := names.Get(context.Background(), "7", func(context.Context) (string, error) {
		return "", errors.New("connection refused")
	})
	fmt.Println(name, meta.Source, err)
	// Output:
	// Lovelace <nil>
	// Lovelace fresh <nil>
}
