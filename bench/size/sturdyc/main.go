// Command sturdyc is hello world with the cache of sturdyc.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/viccon/sturdyc"
)

func main() {
	c := sturdyc.New[string](100, 1, time.Hour, 10)
	v, err := c.GetOrFetch(context.Background(), "hello", load)
	fmt.Println("hello, world", v, err)
}

func load(context.Context) (string, error) { return "", nil }
