package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/chaos/lab"
	"github.com/steady-go/steady/operation"
)

// A bare client calls one of several equal nodes as many programs do: it takes any
// of them, waits, and passes on what comes. It is here so that the run can tell
// whether the faults were any.
type bare struct {
	nodes   []string
	client  *http.Client
	chaos   *chaos.Injector      // counts the attempts
	watched *operation.Operation // changes nothing
}

func newBare(nodes []string, client *http.Client, inject *chaos.Injector, hook steady.Hook) *bare {
	return &bare{
		nodes: nodes, client: client, chaos: inject,
		watched: operation.MustNew(operation.Config{Name: "bare", Hook: hook}),
	}
}

// get makes one call in one attempt. Its caller is as patient as the guarded one.
func (b *bare) get(ctx context.Context) error { return b.watched.Do(ctx, b.call) }

func (b *bare) call(ctx context.Context) error {
	node := b.nodes[int(steady.Random(ctx, "node", 0)*float64(len(b.nodes)))]
	ctx, cancel := context.WithTimeout(ctx, totalLimit)
	defer cancel()
	return b.chaos.At(node).Do(ctx, func(ctx context.Context) error {
		return httpGet(ctx, b.client, node)
	})
}

// newHTTPClient returns the client that both use, each one of its own.
func newHTTPClient(w *lab.World) *http.Client {
	c := &http.Client{Transport: &http.Transport{
		// The default keeps two idle connections to a host, and would have a burst of
		// calls dial, and time the dialling.
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}}
	w.Go(func() {
		<-w.Context().Done()
		c.CloseIdleConnections()
	})
	return c
}

// httpGet makes one GET request. Any answer but 200 is an error.
func httpGet(ctx context.Context, client *http.Client, node string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+node+"/", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return withoutAddress(err)
	}
	defer resp.Body.Close()
	// A connection is used again only if its last answer was read to the end.
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the node answered %s", resp.Status)
	}
	return nil
}

// withoutAddress returns what is wrong but not where: the report counts errors by their
// texts, and it is the same whichever node and port it is.
func withoutAddress(err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
