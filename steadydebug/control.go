package steadydebug

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/steady-go/steady"
)

// maxForm is how many bytes a form may have. Each of its texts has 256 at most, thrice that when encoded.
const maxForm = 8 << 10

// serveSwitch throws a switch. The form says which: policy, name, id and switch, and for
// the member of a group key and member=1.
func (p *Page) serveSwitch(w http.ResponseWriter, r *http.Request) {
	refuse := func(code int, format string, args ...any) {
		http.Error(w, "steadydebug: "+fmt.Sprintf(format, args...), code)
	}
	if err := p.origins.Check(r); err != nil {
		refuse(http.StatusForbidden, "another site may not throw switches: %v", err)
		return
	}
	if rebound(r) {
		refuse(http.StatusForbidden, "on the loopback interface switches are thrown at localhost or an address, not at %q", clip(r.Host))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm) // before AllowControl, which may read the form
	if !p.mayControl(r) {
		refuse(http.StatusForbidden, "Config.AllowControl does not allow this")
		return
	}
	if err := r.ParseForm(); err != nil {
		refuse(http.StatusBadRequest, "the form: %v", err)
		return
	}
	asked := target{
		Ref:    Ref{Policy: clip(r.PostForm.Get("policy")), Name: clip(r.PostForm.Get("name")), Key: clip(r.PostForm.Get("key"))},
		member: r.PostForm.Get("member") == "1",
		name:   clip(r.PostForm.Get("switch")),
	}
	var err error
	if asked.id, err = strconv.ParseUint(r.PostForm.Get("id"), 10, 64); err != nil {
		refuse(http.StatusBadRequest, "the form: id must be a number, got %q", clip(r.PostForm.Get("id")))
		return
	}
	switch found := asked.find(p.holders()); len(found) {
	case 0:
		refuse(http.StatusNotFound, "there is no %s; it may have gone, or been thrown already", asked)
	case 1:
		if err := throw(found[0]); err != nil {
			refuse(http.StatusInternalServerError, "%s: %v", asked, err)
			return
		}
		p.list(r.Context(), "switch", asked.Policy, asked.Name, asked.Key, Moment{Switch: asked.name, By: host(r.RemoteAddr)})
		if r.Header.Get("Accept") == "application/json" { // our script, which stays where it is
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Location", "./")
		w.WriteHeader(http.StatusSeeOther)
	default:
		refuse(http.StatusConflict, "there are %d of %s, which cannot be told apart", len(found), asked)
	}
}

// A target is a switch that somebody wants to throw.
type target struct {
	Ref
	id     uint64
	member bool
	name   string
}

func (t target) String() string {
	of := fmt.Sprintf("switch %q of %s %q", t.name, t.Policy, t.Name)
	if t.member {
		of += fmt.Sprintf(", member %q", t.Key)
	}
	return of
}

// find returns the switches that t may be. Texts are compared as they are shown, so that there may be several.
func (t target) find(all []holder) []steady.Switch {
	var found []steady.Switch
	look := func(s steady.Status, member bool) {
		if s.ID != t.id || clip(s.Policy) != t.Policy || clip(s.Name) != t.Name || member != t.member || member && clip(s.Key) != t.Key {
			return
		}
		for _, w := range s.Switches {
			if clip(w.Name) == t.name && w.Throw != nil {
				found = append(found, w)
			}
		}
	}
	for _, h := range all {
		look(h.Status, false)
		for _, m := range h.members {
			look(m, true)
		}
	}
	return found
}

// throw throws w with no lock held. A panic of the policy is an error.
func throw(w steady.Switch) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %s", clip(fmt.Sprint(p)))
		}
	}()
	w.Throw()
	return nil
}

// rebound reports whether r came in by the loopback interface under a name that is not this
// host's. A site can let its own name point there, and to the browser it is then of one
// origin with the page.
func rebound(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok || !local.IP.IsLoopback() {
		return false
	}
	name := strings.TrimSuffix(strings.ToLower(host(r.Host)), ".")
	if name == "localhost" || strings.HasSuffix(name, ".localhost") { // RFC 6761, section 6.3
		return false
	}
	_, err := netip.ParseAddr(name) // an address is nobody's to point elsewhere
	return err != nil
}

// host returns an address without its port, and without brackets.
func host(address string) string {
	if h, _, err := net.SplitHostPort(address); err == nil {
		return h
	}
	return strings.Trim(address, "[]")
}
