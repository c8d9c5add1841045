// Command steady-timeout is hello world with the timeout of this library.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/steady-go/steady/timeout"
)

func main() {
	err := timeout.MustNew(timeout.Config{Limit: time.Second}).Do(context.Background(), call)
	fmt.Println("hello, world", err)
}

func call(context.Context) error { return nil }
