// Command steady-breaker is hello world with the breaker of this library.
package main

import (
	"context"
	"fmt"

	"github.com/steady-go/steady/breaker"
)

func main() {
	err := breaker.MustNew(breaker.Config{}).Do(context.Background(), call)
	fmt.Println("hello, world", err)
}

func call(context.Context) error { return nil }
