package steadydebug

import (
	"encoding/json"
	"net/http"
	"path"
	"strings"
)

// securityPolicy lets the page load what it is made of from where it comes from, and
// nothing else. Nothing in a name can become a script.
const securityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP answers by the last element of the path: "" is the page, "panel" the part of it
// that changes, "status.json" the [Status], "page.css" and "page.js" what the page is made of, and "switch" takes
// what its buttons send.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", securityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	// Not no-referrer, with which browsers send forms with "Origin: null", which is then refused.
	h.Set("Referrer-Policy", "same-origin")

	_, element := path.Split(r.URL.Path)
	switch element {
	case "switch":
		if allow(w, r, http.MethodPost) {
			p.serveSwitch(w, r)
		}
	case "", "panel", "status.json", "page.css", "page.js":
		if allow(w, r, http.MethodGet, http.MethodHead) {
			p.serve(w, r, element)
		}
	default:
		http.Error(w, "steadydebug: there is no such page", http.StatusNotFound)
	}
}

// allow answers a request with another method.
func allow(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	for _, m := range methods {
		if r.Method == m {
			return true
		}
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	http.Error(w, "steadydebug: the method must be "+strings.Join(methods, " or "), http.StatusMethodNotAllowed)
	return false
}

func (p *Page) serve(w http.ResponseWriter, r *http.Request, element string) {
	var body []byte
	var err error
	kind := "text/html; charset=utf-8"
	switch element {
	case "":
		if to := withSlash(r.RequestURI); to != "" {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusTemporaryRedirect)
			return
		}
		body, err = p.page(r, "page.html")
	case "panel":
		body, err = p.page(r, "panel")
	case "status.json":
		kind = "application/json"
		s, _ := p.gather(p.mayControl(r))
		body, err = json.MarshalIndent(s, "", "\t")
	case "page.css":
		kind = "text/css; charset=utf-8"
		body, err = files.ReadFile(element)
	case "page.js":
		kind = "text/javascript; charset=utf-8"
		body, err = files.ReadFile(element)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(body) // who asked may have left
}

// withSlash returns where the page is if it was asked for without the slash at the end, from
// which its parts would not be found, or "". StripPrefix hides the slash that is missing in the
// path, but not in the URI of the request.
func withSlash(uri string) string {
	asked, _, _ := strings.Cut(uri, "?")
	_, element := path.Split(asked)
	if element == "" {
		return ""
	}
	return "./" + element + "/"
}

func (p *Page) page(r *http.Request, name string) ([]byte, error) {
	control := p.mayControl(r)
	s, minute := p.gather(control)
	return render(name, s, minute, control)
}

func (p *Page) mayControl(r *http.Request) bool {
	return p.cfg.AllowControl != nil && p.cfg.AllowControl(r)
}
