// Command go-resiliency-breaker is hello world with the breaker of go-resiliency.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/eapache/go-resiliency/breaker"
)

func main() {
	err := breaker.New(5, 1, time.Second).Run(func() error { return call(context.Background()) })
	fmt.Println("hello, world", err)
}

func call(context.Context) error { return nil }
