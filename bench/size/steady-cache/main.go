// Command steady-cache is hello world with the cache of this library.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/steady-go/steady/cache"
)

func main() {
	c := cache.MustNew[string, string](cache.Config{MaxEntries: 100, Fresh: time.Hour, LoadTimeout: time.Second})
	v, _, err := c.Get(context.Background(), "hello", load)
	fmt.Println("hello, world", v, err)
}

func load(context.Context) (string, error) { return "", nil }
