// Command gobreaker is hello world with the breaker of gobreaker.
package main

import (
	"context"
	"fmt"

	"github.com/sony/gobreaker/v2"
)

func main() {
	breaker := gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{})
	_, err := breaker.Execute(func() (struct{}, error) { return struct{}{}, call(context.Background()) })
	fmt.Println("hello, world", err)
}

func call(context.Context) error { return nil }
