package steadyredis_test

import (
	"context"
	"fmt"

	steadyredis "github.com/steady-go/steady/contrib/redis"

	"github.com/steady-go/steady/idempotency"
)

// The customer's click is repeated, and the repetition meets another process of the service.
func ExampleIdempotencyStore() {
	rdb, end := exampleRedis()
	defer end()

	newService := func() (order func(key, cart string) (string, error)) {
		guard := idempotency.MustNew(idempotency.Config{
			Scope:     "orders",
			Store:     steadyredis.MustNewIdempotencyStore(steadyredis.IdempotencyConfig{Client: rdb}),
			OnUnknown: idempotency.Refuse,
		})
		return func(key, cart string) (string, error) {
			number, _, err := idempotency.Do(context.Background(), guard, key, cart, func(context.Context) (string, error) {
				fmt.Println("placing an order of", cart)
				return "order 1", nil
			})
			return number, err
		}
	}

	orderHere, orderThere := newService(), newService()
	fmt.Println(orderHere("click 7", "a book"))
	fmt.Println(orderThere("click 7", "a book"))
	fmt.Println(orderThere("click 7", "two books"))
	// Output:
	// placing an order of a book
	// order 1 <nil>
	// order 1 <nil>
	//  idempotency: key was used for another request
}
