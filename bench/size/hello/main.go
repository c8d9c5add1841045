// Command hello is hello world, with a context, as all the others have.
package main

import (
	"context"
	"fmt"
)

func main() {
	err := call(context.Background())
	fmt.Println("hello, world", err)
}

func call(context.Context) error { return nil }
