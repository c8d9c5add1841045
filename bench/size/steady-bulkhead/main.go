// Command steady-bulkhead is hello world with the bulkhead of this library.
package main

import (
	"context"
	"fmt"

	"github.com/steady-go/steady/bulkhead"
)

func main() {
	err := bulkhead.MustNew(bulkhead.Config{Limit: 10}).Do(context.Background(), call)
	fmt.Println("hello, world", err)
}

func call(context.Context) error { return nil }
