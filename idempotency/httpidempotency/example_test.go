package httpidempotency_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/idempotency/httpidempotency"
)

// The client sends the same request twice, since it does not know whether the first has arrived.
func Example() {
	guarded := httpidempotency.MustNew(httpidempotency.Config{
		Guard: idempotency.MustNew(idempotency.Config{Scope: "orders", OnUnknown: idempotency.Refuse}),
		Scope: func(r *http.Request) (string, error) { return r.Header.Get("X-User"), nil }, // set by authentication
	})
	orders := 0
	mux := http.NewServeMux()
	mux.Handle("POST /orders", guarded.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		orders++
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "order %d", orders)
	})))

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()

	send := func(what string) {
		r, _ := http.NewRequest(http.MethodPost, "http://"+listener.Addr().String()+"/orders", strings.NewReader(what))
		r.Header.Set("X-User", "7")
		r.Header.Set("Idempotency-Key", `"8e03978e-40d5-43dd-bc93-6894a57f9324"`)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		fmt.Printf("%s, %s, replayed: %q\n", res.Status, body, res.Header.Get("Idempotency-Replayed"))
	}
	send("socks")
	send("socks")
	send("shoes")
	// Output:
	// 201 Created, order 1, replayed: ""
	// 201 Created, order 1, replayed: "true"
	// 422 Unprocessable Entity, {"detail":"this key was used for another request","status":422,"title":"Unprocessable Entity","type":"urn:steady:idempotency:mismatch"}, replayed: ""
}
