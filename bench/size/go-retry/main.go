// Command go-retry is hello world with the retry of go-retry.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sethvargo/go-retry"
)

func main() {
	err := retry.Exponential(context.Background(), time.Millisecond, call)
	fmt.Println("hello, world", err)
}

func call(context.Context) error { return nil }
