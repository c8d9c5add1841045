package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// byChance is when the supervisor kills a process that does not kill itself.
const byChance = "at a moment of chance"

// A supervisor starts the process of a service again and again, until it was killed as often as it should.
type supervisor struct {
	config
	life
	random *rand.Rand
	cancel context.CancelFunc
	done   chan struct{}

	// These are to be read when it has stopped.
	died map[string]int // how often, by where
	err  error
}

func startSupervisor(ctx context.Context, c config, kind, file string) (*supervisor, error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &supervisor{
		config: c, life: life{Kind: kind, File: file, Address: free.Addr().String()},
		random: rand.New(rand.NewPCG(c.seed, 1)), done: make(chan struct{}), died: map[string]int{},
	}
	if err := free.Close(); err != nil {
		return nil, err
	}
	ctx, s.cancel = context.WithCancel(ctx)
	go func() {
		defer close(s.done)
		s.err = s.run(ctx)
	}()
	return s, nil
}

// stop ends the service, and waits for that.
func (s *supervisor) stop() error {
	s.cancel()
	<-s.done
	return s.err
}

// run runs one process after the other until ctx ends. The last lives until then.
func (s *supervisor) run(ctx context.Context) error {
	for n := 0; ctx.Err() == nil; n++ {
		l, killIn, where := s.life, time.Duration(0), ""
		if n < s.kills {
			where = []string{beforeEffect, afterEffect, beforeAnswer, byChance}[n%4]
			if where == byChance {
				killIn = time.Duration(1+s.random.IntN(15)) * time.Millisecond
			} else {
				l.Point, l.After = where, 1+s.random.IntN(4)
			}
		}
		err := s.live(ctx, l, killIn)
		exit, failed := errors.AsType[*exec.ExitError](err)
		switch {
		case failed && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL && where != "":
			s.died[where]++
		case ctx.Err() == nil:
			return fmt.Errorf("the service ended by itself: %w", err)
		case err != nil:
			return err
		}
	}
	return nil
}

// live runs one process. It kills it a while after that can be reached, if the while is not 0, and ends it with ctx.
func (s *supervisor) live(ctx context.Context, l life, killIn time.Duration) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = append(os.Environ(), lifeVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	if killIn > 0 {
		go func() {
			if reachable(l.Address, ended) {
				time.Sleep(killIn)
				_ = cmd.Process.Kill()
			}
		}()
	}
	err = cmd.Wait()
	close(ended)
	if errors.Is(err, context.Canceled) {
		return nil // it has obeyed
	}
	return err
}

// reachable waits until there is somebody at an address, and reports whether there was before ended.
func reachable(address string, ended <-chan struct{}) bool {
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return true
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ended:
			return false
		}
	}
}
