// Command backoff is hello world with the retry of backoff.
package main

import (
	"context"
	"fmt"

	"github.com/cenkalti/backoff/v5"
)

func main() {
	ctx := context.Background()
	_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, call(ctx) })
	fmt.Println("hello, world", err)
}

func call(context.Context) error { return nil }
