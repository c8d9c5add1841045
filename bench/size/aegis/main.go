// Command aegis is hello world with the breaker of aegis.
package main

import (
	"context"
	"fmt"

	"github.com/go-kratos/aegis/circuitbreaker/sre"
)

func main() {
	guard := sre.NewBreaker()
	err := guard.Allow()
	if err == nil {
		err = call(context.Background())
		guard.MarkSuccess()
	}
	fmt.Println("hello, world", err)
}

func call(context.Context) error { return nil }
