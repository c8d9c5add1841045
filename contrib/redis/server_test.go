package steadyredis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// A server is a redis-server of the test's own, that keeps nothing on disk unless it is started with durable.
type server struct {
	address, dir string
	args         []string
	process      *exec.Cmd
	log          text
	admin        *redis.Client // for the test itself
}

// durable makes a server keep what it has acknowledged when it is killed and started again.
var durable = []string{"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"}

// A text is output that can be read while it is written.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.String()
}

// startRedis starts a server that ends with the test.
func startRedis(t *testing.T, args ...string) *server {
	t.Helper()
	s, err := newServer(args...)
	require.NoError(t, err)
	t.Cleanup(func() {
		s.close()
		if t.Failed() {
			t.Logf("redis-server said:\n%s", &s.log)
		}
	})
	return s
}

func newServer(args ...string) (*server, error) {
	dir, err := os.MkdirTemp("", "steadyredis")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, args: args}
	for range 3 { // another may take the port first
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		s.address = free.Addr().String()
		_ = free.Close()
		s.admin = s.connect()
		if err = s.start(); err == nil {
			return s, nil
		}
		if errors.Is(err, exec.ErrNotFound) {
			_ = os.RemoveAll(dir)
			return nil, fmt.Errorf("redis-server is missing: run `make deps`, which installs it: %w", err)
		}
		_ = s.admin.Close()
	}
	defer os.RemoveAll(dir)
	return nil, fmt.Errorf("redis-server does not start:\n%s", &s.log)
}

// start starts the process, at first or after a kill, and waits until it answers.
func (s *server) start() error {
	host, port, _ := strings.Cut(s.address, ":")
	args := append([]string{"--bind", host, "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "no"}, s.args...)
	s.process = exec.Command("redis-server", args...)
	s.process.Stdout, s.process.Stderr = &s.log, &s.log
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		return err
	}
	ours := fmt.Sprintf("process_id:%d\r\n", s.process.Process.Pid)
	for range 500 {
		if info, err := s.admin.Info(context.Background(), "server").Result(); err == nil && strings.Contains(info, ours) {
			return nil
		}
		time.Sleep(10 * time.Millisecond) // another process: nothing tells when it is there
	}
	s.kill()
	return errors.New("no answer")
}

// kill ends the process as the kernel does it when memory is short.
func (s *server) kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

// hang stops the process without ending it: it takes connections, and answers nothing, until goOn is called.
func (s *server) hang(t *testing.T) (goOn func()) {
	t.Helper()
	require.NoError(t, s.process.Process.Signal(syscall.SIGSTOP))
	return func() { require.NoError(t, s.process.Process.Signal(syscall.SIGCONT)) }
}

func (s *server) close() {
	s.kill()
	_ = s.admin.Close()
	_ = os.RemoveAll(s.dir)
}

// connect returns a client as a process of its own would have it.
func (s *server) connect() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.address, ContextTimeoutEnabled: true})
}

// hasty returns a client that tries everything once, so that a Redis that is gone is known to be so at once.
func (s *server) hasty(t *testing.T) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.address, ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// client returns one that is closed with the test.
func (s *server) client(t *testing.T) *redis.Client {
	t.Helper()
	c := s.connect()
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// eventually waits until is holds: what is waited for is another process.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); {
		require.True(t, time.Now().Before(end), "waited in vain for %s", what)
		time.Sleep(time.Millisecond)
	}
}
