package chaos

import (
	"sync"
	"sync/atomic"
)

// held is what was read from a connection, but could not be given out before a
// deadline: the next read gets it.
type held struct {
	some  atomic.Bool
	mu    sync.Mutex
	bytes []byte // guarded by mu
}

// keep adds b.
func (h *held) keep(b []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bytes = append(h.bytes, b...)
	h.some.Store(len(h.bytes) > 0)
}

// release gives to b what it can take.
func (h *held) release(b []byte) int {
	if !h.some.Load() {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	n := copy(b, h.bytes)
	h.bytes = h.bytes[n:]
	h.some.Store(len(h.bytes) > 0)
	return n
}
