// Command rican7-retry is hello world with the retry of Rican7/retry.
package main

import (
	"context"
	"fmt"

	"github.com/Rican7/retry"
	"github.com/Rican7/retry/strategy"
)

func main() {
	err := retry.Retry(func(uint) error { return call(context.Background()) }, strategy.Limit(3))
	fmt.Println("hello, world", err)
}

func call(context.Context) error { return nil }
