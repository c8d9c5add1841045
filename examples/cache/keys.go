package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/steady-go/steady"
)

// keyCount is how many prices there are.
const keyCount = 200

// weights are how often each key is asked for, added up: the n-th by one over n, as Zipf found
// of words. The first ten get half of all requests, the last a request every three seconds.
var weights = zipf(keyCount)

func zipf(n int) []float64 {
	sums := make([]float64, n)
	total := 0.0
	for i := range sums {
		total += 1 / float64(i+1)
		sums[i] = total
	}
	for i := range sums {
		sums[i] /= total
	}
	return sums
}

// keyOf returns which price a caller asks for. It is the same with the cache and without.
func keyOf(ctx context.Context) string { return keyAt(steady.Random(ctx, "key", 0)) }

// keyAt returns the key below which the share u of all requests lies.
func keyAt(u float64) string {
	i, _ := slices.BinarySearch(weights, u)
	return keyName(i)
}

func keyName(i int) string { return fmt.Sprintf("item-%d", i) }

func allKeys() []string {
	keys := make([]string, keyCount)
	for i := range keys {
		keys[i] = keyName(i)
	}
	return keys
}
