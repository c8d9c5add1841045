// Command otter is hello world with the cache of otter.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"
)

func main() {
	c := otter.Must(&otter.Options[string, string]{MaximumSize: 100, ExpiryCalculator: otter.ExpiryWriting[string, string](time.Hour)})
	v, err := c.Get(context.Background(), "hello", otter.LoaderFunc[string, string](load))
	fmt.Println("hello, world", v, err)
}

func load(context.Context, string) (string, error) { return "", nil }
