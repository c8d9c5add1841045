// Command hystrix-go is hello world with a command of hystrix-go.
package main

import (
	"context"
	"fmt"

	"github.com/afex/hystrix-go/hystrix"
)

func main() {
	err := hystrix.DoC(context.Background(), "hello", call, nil)
	fmt.Println("hello, world", err)
}

func call(context.Context) error { return nil }
