// Command retry-go is hello world with the retry of retry-go.
package main

import (
	"context"
	"fmt"

	"github.com/avast/retry-go/v5"
)

func main() {
	err := retry.New().Do(func() error { return call(context.Background()) })
	fmt.Println("hello, world", err)
}

func call(context.Context) error { return nil }
