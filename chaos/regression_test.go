package chaos_test

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/chaos"
)

// A write that began after Disarm did not wait for its turn, and came between the
// portions of one that had begun before.
func TestWritesAreNotMixedUpAcrossDisarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		defer theirs.Close()
		i := injector(t, chaos.Fault{Name: "slow", Effect: chaos.Bandwidth(1000), Rate: 1})
		c := i.Conn(ours, "")
		var writes sync.WaitGroup
		write := func(letter string) {
			writes.Go(func() { _, _ = c.Write(bytes.Repeat([]byte(letter), 200)) })
			synctest.Wait()
		}
		write("A") // waits in its first portion
		i.Disarm()
		write("B")
		got := make([]byte, 400)
		for n := 0; n < len(got); {
			m, err := theirs.Read(got[n:])
			require.NoError(t, err)
			n += m
		}
		writes.Wait()
		require.Equal(t, string(bytes.Repeat(got[:1], 200)), string(got[:200]))
	})
}

// A read that ran into its deadline keeps its bytes for the next, which paid for them
// again: who polls at short deadlines never got one.
func TestBytesThatAreHeldArePaidForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		defer theirs.Close()
		i := injector(t, chaos.Fault{Name: "slow", Effect: chaos.Bandwidth(1), Rate: 1})
		c := i.Conn(ours, "")
		go func() { _, _ = theirs.Write([]byte("xyz")) }()
		start := time.Now()
		for n := 0; n == 0; {
			require.NoError(t, c.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
			n, _ = c.Read(make([]byte, 10))
			require.Less(t, time.Since(start), 2*time.Second)
		}
	})
}
