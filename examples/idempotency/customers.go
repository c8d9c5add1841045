package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A story is what the customers have seen.
type story struct {
	requests atomic.Int64 // that were sent, or tried
	cut      atomic.Int64 // whose connection the customer cut
	failed   atomic.Int64 // that got no answer, since the service was not there, or died
	refused  atomic.Int64 // that were answered otherwise than by 201

	mu      sync.Mutex
	numbers map[string][]string // that each order was answered with
}

func (s *story) told(order, number string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.numbers[order] = append(s.numbers[order], number)
}

// How the customers are.
const (
	customers = 8               // who order at once
	patience  = 5 * time.Second // of a request
	pause     = 10 * time.Millisecond
	refreshes = 2 // when they have the answer
	giveUp    = time.Minute
)

// order has the customers place all orders, and returns what they have seen.
func order(ctx context.Context, c config, s *supervisor) (*story, error) {
	ctx, cancel := context.WithTimeout(ctx, giveUp)
	defer cancel()
	told := &story{numbers: map[string][]string{}}
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	for n := range customers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(c.seed, uint64(2+n)))
			for i := n; i < c.orders; i += customers {
				told.insist(ctx, client, random, "http://"+s.Address+"/orders", fmt.Sprintf("order %d", i+1))
			}
		})
	}
	wg.Wait()
	return told, ctx.Err()
}

// insist orders until there is an answer, and then refreshes some more. The first request is always cut off, and half of those
// that follow.
func (s *story) insist(ctx context.Context, client *http.Client, random *rand.Rand, url, what string) {
	answers := 0
	for attempt := 0; answers <= refreshes && ctx.Err() == nil; attempt++ {
		cut := time.Duration(0)
		if attempt == 0 || answers == 0 && random.IntN(2) == 0 {
			cut = time.Duration(1 + random.IntN(int(5*time.Millisecond)))
		}
		if s.request(ctx, client, url, what, cut) {
			answers++
			continue
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// request sends one request, and reports whether there was an answer. It cuts the connection after a while if that is not 0.
func (s *story) request(ctx context.Context, client *http.Client, url, what string, cut time.Duration) bool {
	s.requests.Add(1)
	if cut > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cut)
		defer cancel()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(what))
	if err != nil {
		panic(err) // the URL is ours
	}
	r.Header.Set("Idempotency-Key", `"`+what+`"`) // one key an order, the same each time
	res, err := client.Do(r)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	switch {
	case err != nil && ctx.Err() != nil:
		s.cut.Add(1)
	case err != nil:
		s.failed.Add(1)
	case res.StatusCode != http.StatusCreated:
		s.refused.Add(1)
	default:
		s.told(what, strings.TrimSpace(string(body)))
		return true
	}
	return false
}
