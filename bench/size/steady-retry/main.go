// Command steady-retry is hello world with the retry of this library.
package main

import (
	"context"
	"fmt"

	"github.com/steady-go/steady/retry"
)

func main() {
	err := retry.MustNew(retry.Config{}).Do(context.Background(), call)
	fmt.Println("hello, world", err)
}

func call(context.Context) error { return nil }
