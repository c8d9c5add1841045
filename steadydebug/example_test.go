package steadydebug_test

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"

	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/steadydebug"
)

// The page is the hook of all policies, and is served on the port for debugging.
func Example() {
	page := steadydebug.MustNew(steadydebug.Config{Title: "orders"})
	db := breaker.MustNew(breaker.Config{Name: "db", Hook: page})
	mux := http.NewServeMux()
	mux.Handle("/debug/steady/", page)

	_ = db.Do(context.Background(), func(context.Context) error { return nil })
	db.ForceOpen()
	_ = db.Do(context.Background(), func(context.Context) error { return nil })

	// What a browser shows at /debug/steady/ a program reads at status.json.
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/debug/steady/status.json", nil))
	var s steadydebug.Status
	_ = json.Unmarshal(w.Body.Bytes(), &s)
	for _, p := range s.Policies {
		fmt.Println(p.Policy, p.Name, p.Instances[0].State)
		fmt.Println(p.Calls.Success.Total, "succeeded,", p.Calls.Rejected.Total, "rejected:", p.Calls.RejectedFor[0].Reason)
	}
	runtime.KeepAlive(db) // as a service does: the page does not
	fmt.Println(s.Summary.NotClosed.Count, "of", s.Summary.Breakers, "not closed")
	// Output:
	// breaker db forced-open
	// 1 succeeded, 1 rejected: forced-open
	// 1 of 1 not closed
}

// Whoever may throw switches is for the service to say, here by a secret that its
// operators have. To a page that anybody can reach, say no.
func Example_control() {
	secret := []byte("from the configuration of the service")
	page := steadydebug.MustNew(steadydebug.Config{
		AllowControl: func(r *http.Request) bool {
			_, password, ok := r.BasicAuth()
			return ok && subtle.ConstantTimeCompare([]byte(password), secret) == 1
		},
	})
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/switch", nil))
	fmt.Print(w.Code, " ", w.Body)
	// Output:
	// 403 steadydebug: Config.AllowControl does not allow this
}
