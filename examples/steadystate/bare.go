package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// A bare client calls one of several equal nodes as many programs do: it takes any
// of them, waits, and passes on what comes. It is here so that the run can tell
// whether the faults were any.
type bare struct {
	nodes  []string
	client *http.Client

	mu     sync.Mutex
	choice *rand.Rand // guarded by mu
}

func newBare(nodes []string, seed uint64, client *http.Client) *bare {
	return &bare{nodes: nodes, client: client, choice: rand.New(rand.NewPCG(seed, streamChoice))}
}

// get makes one call in one attempt. Its caller is as patient as the guarded one.
func (b *bare) get(ctx context.Context) (int, error) {
	b.mu.Lock()
	node := b.nodes[b.choice.IntN(len(b.nodes))]
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, totalLimit)
	defer cancel()
	return 1, httpGet(ctx, b.client, node)
}

// newHTTPClient returns the client that both use, each one of its own.
func newHTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		// The default keeps two idle connections to a host, and would have a burst of
		// calls dial, and time the dialling.
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}}
}

// httpGet makes one GET request. Any answer but 200 is an error.
func httpGet(ctx context.Context, client *http.Client, node string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+node+"/", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	// A connection is used again only if its last answer was read to the end.
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", node, resp.Status)
	}
	return nil
}
