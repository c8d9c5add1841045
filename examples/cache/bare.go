package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/cache"
	"github.com/steady-go/steady/chaos/lab"
)

// A price is what the origin says that an item costs.
type price struct {
	Cents int       `json:"cents"`
	AsOf  time.Time `json:"asOf"` // when the origin said so
}

// A bare client asks the origin each time, as many programs do. It is here so that the run can tell
// whether the faults were any.
type bare struct {
	client *http.Client
	origin string
	calls  steady.Policy // counts
}

func newBare(client *http.Client, origin string, calls steady.Policy) *bare {
	return &bare{client: client, origin: origin, calls: calls}
}

// get returns a price. Its caller is as patient as the cached one.
func (b *bare) get(ctx context.Context, key string) (price, cache.Source, error) {
	prices, err := steady.DoValue(ctx, b.calls, func(ctx context.Context) (map[string]price, error) {
		return fetch(ctx, b.client, b.origin, key)
	})
	if err != nil {
		return price{}, cache.None, err
	}
	return prices[key], cache.Loaded, nil
}

// newHTTPClient returns the client that both use, each one of its own.
func newHTTPClient(w *lab.World, n network) *http.Client {
	c := &http.Client{Transport: &http.Transport{
		DialContext: n.dial,
		// The default keeps two idle connections to a host, and would have a burst of
		// calls dial, and time the dialling.
		MaxIdleConnsPerHost: 128,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}}
	w.Go(func() {
		<-w.Context().Done()
		c.CloseIdleConnections()
	})
	return c
}

// fetch asks the origin for prices, in one request. Any answer but 200 is an error.
func fetch(ctx context.Context, client *http.Client, origin string, keys ...string) (map[string]price, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+origin+"/prices?"+url.Values{"key": keys}.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, withoutAddress(err)
	}
	defer resp.Body.Close()
	// A connection is used again only if its last answer was read to the end.
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, withoutAddress(err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the origin answered %s", resp.Status)
	}
	var prices map[string]price
	return prices, json.Unmarshal(body, &prices)
}

// withoutAddress returns what is wrong but not where: the report counts errors by their
// texts, and it is the same whichever price and port it is.
func withoutAddress(err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
