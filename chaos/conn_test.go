package chaos_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/steadytest"
)

var stalled = chaos.Fault{Name: "stall", Effect: chaos.Stall(), Rate: 1, From: time.Second, Until: time.Minute}

// pipe returns the two ends of a connection in a synctest bubble, of which the first is
// disturbed.
func pipe(t *testing.T, i *chaos.Injector) (disturbed, other net.Conn) {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	return i.Conn(a, ""), b
}

func TestStallLetsNothingPassWhileItsWindowIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		i := armed(t, chaos.Config{Hook: &r, Faults: []chaos.Fault{stalled}}, time.Hour)
		start := time.Now()
		c, other := pipe(t, i)
		go func() { _, _ = io.Copy(other, other) }() // an echo
		b := make([]byte, 4)
		echo := func() time.Duration {
			_, err := io.WriteString(c, "ping")
			require.NoError(t, err)
			_, err = io.ReadFull(c, b)
			require.NoError(t, err)
			return time.Since(start)
		}
		require.Zero(t, echo())
		time.Sleep(time.Second)
		require.Equal(t, time.Minute, echo())
		require.Equal(t, time.Minute, echo())
		require.Len(t, r.Events(steady.KindInjected), 1)
	})
}

// The reader of an HTTP connection always waits in Read: without this its next response
// would come through the stall.
func TestAReadThatWaitedWhenAStallBeganGetsNothingUntilItIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, other := pipe(t, injector(t, stalled))
		start := time.Now()
		time.AfterFunc(2*time.Second, func() { _, _ = io.WriteString(other, "late") })
		b := make([]byte, 10)
		require.NoError(t, c.SetReadDeadline(start.Add(30*time.Second)))
		_, err := c.Read(b)
		requireTimeout(t, err)
		require.Equal(t, 30*time.Second, time.Since(start))
		require.NoError(t, c.SetReadDeadline(time.Time{}))
		n, err := c.Read(b[:3])
		require.NoError(t, err)
		require.Equal(t, "lat", string(b[:n]), "what came meanwhile is not lost")
		require.Equal(t, time.Minute, time.Since(start))
		n, err = c.Read(b)
		require.NoError(t, err)
		require.Equal(t, "e", string(b[:n]))
	})
}

func TestStallObeysDeadlinesAndClose(t *testing.T) {
	always := chaos.Fault{Name: "stall", Effect: chaos.Stall(), Rate: 1}
	ops := map[string]func(net.Conn) error{
		"read":  func(c net.Conn) error { _, err := c.Read(make([]byte, 1)); return err },
		"write": func(c net.Conn) error { _, err := c.Write(make([]byte, 1)); return err },
	}
	for name, op := range ops {
		set := map[string]func(net.Conn, time.Time) error{"read": net.Conn.SetReadDeadline, "write": net.Conn.SetWriteDeadline}[name]
		t.Run(name+", deadline set before", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := pipe(t, injector(t, always))
				start := time.Now()
				require.NoError(t, set(c, start.Add(time.Second)))
				requireTimeout(t, op(c))
				require.Equal(t, time.Second, time.Since(start))
				requireTimeout(t, op(c))
				require.NoError(t, c.SetDeadline(start.Add(3*time.Second)))
				requireTimeout(t, op(c))
				require.Equal(t, 3*time.Second, time.Since(start))
			})
		})
		t.Run(name+", deadline set while it waits", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := injector(t, always)
				c, _ := pipe(t, i)
				start := time.Now()
				time.AfterFunc(time.Second, func() { _ = set(c, time.Now().Add(-time.Hour)) })
				requireTimeout(t, op(c))
				require.Equal(t, time.Second, time.Since(start))
				require.Zero(t, i.Stats().Hanging)
			})
		})
		for how, end := range map[string]func(*chaos.Injector, net.Conn){
			"close":  func(_ *chaos.Injector, c net.Conn) { _ = c.Close() },
			"disarm": func(i *chaos.Injector, _ net.Conn) { i.Disarm() },
			"kill":   func(*chaos.Injector, net.Conn) { chaos.Kill() },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Cleanup(chaos.Revive)
				synctest.Test(t, func(t *testing.T) {
					i := injector(t, always)
					c, other := pipe(t, i)
					start := time.Now()
					time.AfterFunc(time.Second, func() {
						if i.Stats().Hanging != 1 {
							t.Error("it does not hang")
						}
						end(i, c)
					})
					if how != "close" {
						go func() { _, _ = io.WriteString(other, "x") }()
						go func() { _, _ = io.Copy(io.Discard, other) }()
						require.NoError(t, op(c))
					} else {
						require.ErrorIs(t, op(c), net.ErrClosed)
					}
					require.Equal(t, time.Second, time.Since(start))
				})
			})
		}
	}
}

func TestAConnectionDrawsAnewEachTimeTheWindowOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, chaos.Fault{Name: "stall", Effect: chaos.Stall(), Rate: 0.5, Until: time.Second, Every: 2 * time.Second})
		c, other := pipe(t, i)
		go func() { _, _ = io.Copy(io.Discard, other) }()
		hits := 0
		for range 200 {
			start := time.Now()
			for range 10 { // draws once a window
				_, err := io.WriteString(c, "x")
				require.NoError(t, err)
			}
			if time.Since(start) > 0 {
				hits++
			}
			time.Sleep(2*time.Second - time.Since(start))
		}
		require.InDelta(t, 100, hits, 30)
		require.EqualValues(t, hits, i.Stats().Injected["stall"])
	})
}

func TestAConnectionDrawsAnewInWindowsWithoutAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, chaos.Fault{Name: "thin", Effect: chaos.Bandwidth(1_000_000), Rate: 0.5, Until: time.Second, Every: time.Second})
		c, other := pipe(t, i)
		go func() { _, _ = io.Copy(io.Discard, other) }()
		start := time.Now()
		for n := range 200 {
			time.Sleep(time.Duration(n)*time.Second - time.Since(start))
			_, err := io.WriteString(c, "x")
			require.NoError(t, err)
		}
		require.InDelta(t, 100, i.Stats().Injected["thin"], 30)
	})
}

func TestBandwidthBoundsEachDirection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, chaos.Fault{Name: "thin", Effect: chaos.Bandwidth(1000), Rate: 1})
		c, other := pipe(t, i)
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if n, err := c.Write(make([]byte, 10_000)); n != 10_000 || err != nil {
				t.Error(n, err)
			}
			if took := time.Since(start); took < 10*time.Second || took > 10100*time.Millisecond {
				t.Error("writing took", took)
			}
		})
		wg.Go(func() { _, _ = io.CopyN(io.Discard, other, 10_000) })
		wg.Go(func() { _, _ = other.Write(make([]byte, 5000)) })
		_, err := io.ReadFull(c, make([]byte, 5000))
		require.NoError(t, err)
		require.InDelta(t, 5, time.Since(start).Seconds(), 0.1)
		wg.Wait()
		require.EqualValues(t, 1, i.Stats().Injected["thin"])
	})
}

func TestBandwidthObeysDeadlinesAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, chaos.Fault{Name: "thin", Effect: chaos.Bandwidth(1000), Rate: 1})
		c, other := pipe(t, i)
		go func() { _, _ = io.Copy(io.Discard, other) }()
		start := time.Now()
		const patience = 1010 * time.Millisecond // between two portions
		require.NoError(t, c.SetWriteDeadline(start.Add(patience)))
		n, err := c.Write(make([]byte, 10_000))
		requireTimeout(t, err)
		require.InDelta(t, 1000, n, 60)
		require.Equal(t, patience, time.Since(start))
		require.NoError(t, c.SetWriteDeadline(time.Time{}))

		time.AfterFunc(time.Second, func() { _ = c.Close() })
		_, err = c.Write(make([]byte, 10_000))
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

// Portions of two writes must not be mixed up: package net does not do that either.
func TestWritesInPortionsAreNotMixedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t, chaos.Fault{Name: "thin", Effect: chaos.Bandwidth(1000), Rate: 1})
		c, other := pipe(t, i)
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(10*time.Second)))
		var wg sync.WaitGroup
		for _, s := range []string{"a", "b"} {
			wg.Go(func() { _, _ = c.Write(bytes.Repeat([]byte(s), 1000)) })
		}
		got := make([]byte, 2000)
		_, err := io.ReadFull(other, got)
		require.NoError(t, err)
		for n := range 1000 {
			require.Equal(t, got[0], got[n])
			require.Equal(t, got[1999], got[1000+n])
		}
		require.NotEqual(t, got[0], got[1999])
		wg.Wait()
	})
	synctest.Test(t, func(t *testing.T) { // who waits for the turn obeys deadline and Close
		i := injector(t, chaos.Fault{Name: "thin", Effect: chaos.Bandwidth(1), Rate: 1})
		c, other := pipe(t, i)
		go func() { _, _ = io.Copy(io.Discard, other) }()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if _, err := c.Write(make([]byte, 1000)); err == nil {
					t.Error("a write on a closed connection has succeeded")
				}
			})
		}
		time.Sleep(time.Second)
		_ = c.Close()
		wg.Wait()
	})
}

func TestTheFirstFaultDrawnIsInForceOnAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := injector(t,
			chaos.Fault{Name: "thin", Effect: chaos.Bandwidth(1000), Rate: 1, Until: time.Minute},
			chaos.Fault{Name: "reset", Effect: chaos.Reset(1), Rate: 1},
		)
		c, other := pipe(t, i)
		go func() { _, _ = io.Copy(io.Discard, other) }()
		_, err := c.Write(make([]byte, 100))
		require.NoError(t, err)
		time.Sleep(time.Minute)
		_, err = c.Write(make([]byte, 100))
		requireReset(t, err)
	})
}
