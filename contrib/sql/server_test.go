package steadysql_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/steady-go/steady/idempotency/storetest"

	steadysql "github.com/steady-go/steady/contrib/sql"
)

// A server is a PostgreSQL of the test's own, which keeps what it commits when it is killed.
type server struct {
	bin, dir string
	port     int
	runAs    *syscall.Credential // nil: as this process
	process  *exec.Cmd
	exited   chan struct{} // closed when it has
	log      text
}

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

// The server that tests share, each with a table of its own. It is started by the first that needs it.
var (
	started   atomic.Pointer[server]
	theServer = sync.OnceValues(func() (*server, error) {
		s, err := newServer()
		started.Store(s)
		return s, err
	})
)

func TestMain(m *testing.M) {
	storetest.Main(openSource)
	code := m.Run()
	if s := started.Load(); s != nil {
		s.close()
	}
	os.Exit(code)
}

// postgres returns the server that tests share.
func postgres(t *testing.T) *server {
	t.Helper()
	s, err := theServer()
	require.NoError(t, err)
	return s
}

// ownServer returns a server that a test may kill. It ends with the test.
func ownServer(t *testing.T) *server {
	t.Helper()
	s, err := newServer()
	require.NoError(t, err)
	t.Cleanup(func() {
		s.close()
		if t.Failed() {
			t.Logf("postgres said:\n%s", &s.log)
		}
	})
	return s
}

// newServer makes a database, and starts a server for it.
func newServer() (*server, error) {
	programs, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(programs) == 0 {
		return nil, errors.New("postgres is missing: run `make deps`, which installs it")
	}
	s := &server{bin: filepath.Dir(programs[len(programs)-1])}
	var err error
	if s.dir, err = os.MkdirTemp("", "steadysql"); err != nil {
		return nil, err
	}
	if err = s.init(); err == nil {
		for range 3 { // another may take the port first
			if err = s.takePort(); err != nil {
				break
			}
			if err = s.start(); err == nil {
				return s, nil
			}
		}
	}
	_ = os.RemoveAll(s.dir)
	return nil, fmt.Errorf("postgres does not start: %w\n%s", err, &s.log)
}

func (s *server) init() error {
	if os.Getuid() == 0 { // as which the server refuses to run
		u, err := user.Lookup("postgres")
		if err != nil {
			return err
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2, os.Chown(s.dir, int(uid), int(gid))); err != nil {
			return err
		}
		s.runAs = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return s.command("initdb", "-D", s.data(), "-U", "steady", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync").Run()
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

func (s *server) takePort() error {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.port = free.Addr().(*net.TCPAddr).Port
	return free.Close()
}

func (s *server) command(program string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, program), args...)
	c.Dir = s.dir
	c.Stdout, c.Stderr = &s.log, &s.log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: s.runAs}
	return c
}

// start starts the server, at first or after a kill, and waits until it answers.
func (s *server) start() error {
	db, err := sql.Open("pgx", s.dsn())
	if err != nil {
		return err
	}
	defer db.Close()
	for end := time.Now().Add(30 * time.Second); ; {
		s.process = s.command("postgres", "-D", s.data(), "-p", strconv.Itoa(s.port),
			"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200", "-c", "shared_buffers=16MB",
			"-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "full_page_writes=on")
		if err := s.process.Start(); err != nil {
			return err
		}
		process, exited := s.process, make(chan struct{})
		s.exited = exited
		go func() {
			_ = process.Wait()
			close(exited)
		}()
		for over := false; !over; {
			var ours string // another server may have the port
			if err = db.QueryRow("SHOW data_directory").Scan(&ours); err == nil && ours == s.data() {
				return nil
			}
			if time.Now().After(end) {
				s.kill()
				return fmt.Errorf("no answer: %w", err)
			}
			select {
			case <-exited: // it does not start while children of one that was killed are there
				over = true
			case <-time.After(20 * time.Millisecond):
			}
		}
		if time.Now().After(end) {
			return fmt.Errorf("it ends: %w", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// kill ends the server as the kernel does it when memory is short.
func (s *server) kill() {
	_ = s.process.Process.Kill()
	<-s.exited
}

// close ends the server with all its children, and deletes the database.
func (s *server) close() {
	_ = s.process.Process.Signal(syscall.SIGQUIT)
	<-s.exited
	_ = os.RemoveAll(s.dir)
}

func (s *server) dsn() string {
	return fmt.Sprintf("postgres://steady@127.0.0.1:%d/postgres?sslmode=disable", s.port)
}

// connect returns a pool as a process of its own would have it.
func (s *server) connect(t *testing.T) *sql.DB {
	t.Helper()
	return open(t, "pgx", s.dsn())
}

// database returns the database of a server, with a table of that name.
func (s *server) database(table string) *database {
	return &database{steadysql.PostgreSQL, table, s.connect, s.dsn()}
}

func open(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// sqliteDSN is that of the package documentation.
func sqliteDSN(path string) string {
	return "file:" + path + "?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"
}

// A database is one that a test has for itself: a table of the shared server, or a file.
type database struct {
	dialect steadysql.Dialect
	table   string
	connect func(t *testing.T) *sql.DB
	dsn     string
}

var tables atomic.Int64

// open makes the table, and returns a store that has a pool of its own.
func (d *database) open(t *testing.T) (*steadysql.Store, *sql.DB) {
	t.Helper()
	db := d.connect(t)
	s := d.with(db)
	require.NoError(t, s.Create(context.Background()))
	return s, db
}

func (d *database) with(db *sql.DB) *steadysql.Store {
	return steadysql.MustNew(steadysql.Config{DB: db, Dialect: d.dialect, Table: d.table})
}

// run runs a statement of the test itself.
func run(t *testing.T, db *sql.DB, statement string, args ...any) {
	t.Helper()
	_, err := db.Exec(statement, args...)
	require.NoError(t, err)
}

// count returns the number that a query returns.
func count(t *testing.T, db *sql.DB, query string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRow(query, args...).Scan(&n))
	return n
}

// onBoth runs a test with PostgreSQL and with SQLite.
func onBoth(t *testing.T, test func(t *testing.T, d *database)) {
	t.Run("PostgreSQL", func(t *testing.T) { test(t, onPostgres(t)) })
	t.Run("SQLite", func(t *testing.T) { test(t, onSQLite(t)) })
}

func onPostgres(t *testing.T) *database {
	return postgres(t).database(fmt.Sprint("keys_", tables.Add(1)))
}

func onSQLite(t *testing.T) *database {
	dsn := sqliteDSN(filepath.Join(t.TempDir(), "keys.db"))
	return &database{steadysql.SQLite, "", func(t *testing.T) *sql.DB { return open(t, "sqlite", dsn) }, dsn}
}

// eventually waits until is holds: what is waited for is another process.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); {
		require.True(t, time.Now().Before(end), "waited in vain for %s", what)
		time.Sleep(time.Millisecond)
	}
}
