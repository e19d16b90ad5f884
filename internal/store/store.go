package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	_ "modernc.org/sqlite" // the database/sql driver "sqlite"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

const (
	databaseFile = "ollama-rag.db"
	lockFile     = "lock"
	serverFile   = "server.json"
)

// Store is an open data folder. Its methods may be used by many goroutines at once.
type Store struct {
	dir   string
	lock  *flock.Flock
	write *sql.DB // one connection: writers wait in Go, not in SQLite
	read  *sql.DB

	statements sync.Map // *sql.Stmt of read by the text of the query: each

	states states
	owed   atomic.Bool // the write-ahead log may hold deleted bytes
}

// InUseError says that another process has the data folder, and where it listens, as far as it told.
type InUseError struct{ Server Server }

// Error says what to do.
func (e *InUseError) Error() string {
	if e.Server.URL == "" {
		return "another ollama-rag has the data folder open: end it, or choose another folder with --data-dir"
	}
	return "the server at " + e.Server.URL + " has the data folder open"
}

// Server is where the process that holds a data folder can be reached by the other commands of the same user.
type Server struct {
	URL   string `json:"url"`
	Token string `json:"token"`
	PID   int    `json:"pid"`
}

// Open opens a data folder, making it where it is missing. It fails with *InUseError while another process has it.
func Open(ctx context.Context, dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	lock := flock.New(filepath.Join(dir, lockFile))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if !held {
		return nil, &InUseError{Server: Announced(dir)}
	}
	// What a killed process left of itself must not send anybody to its address.
	if err := os.Remove(filepath.Join(dir, serverFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("data folder: %w", err), lock.Unlock())
	}
	s := &Store{dir: dir, lock: lock}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	file := filepath.Join(s.dir, databaseFile)
	var err error
	if s.write, err = connect(file, 1, "immediate"); err != nil {
		return err
	}
	if err := migrate(ctx, s.write, file, migrations); err != nil {
		return err
	}
	s.forget() // what the last process deleted and could not
	s.read, err = connect(file, 4, "deferred")
	return err
}

// forget empties the write-ahead log, so that deleted bytes do not live on in it. The deletion is durable already, so this
// neither fails it nor ends with its context. Where a reader keeps the log busy, the next change, Close or Open does it.
func (s *Store) forget() {
	s.owed.Store(true)
	s.settle()
}

// settle empties the write-ahead log if that is owed.
func (s *Store) settle() {
	if !s.owed.CompareAndSwap(true, false) {
		return
	}
	var busy, pages, moved int
	err := s.write.QueryRowContext(context.Background(), `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &moved)
	if err != nil || busy != 0 {
		s.owed.Store(true)
	}
}

func connect(file string, connections int, lockMode string) (*sql.DB, error) {
	q := url.Values{"_txlock": {lockMode}, "_pragma": {
		"busy_timeout(2000)", "journal_mode(wal)", "synchronous(full)", "foreign_keys(on)", "secure_delete(on)", "cache_size(-8000)",
	}} // one process writes through one connection, so only emptying the log ever waits, for readers
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(file), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// Close gives the data folder free.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(append(errs, s.lock.Unlock())...)
}

// Dir is the data folder.
func (s *Store) Dir() string { return s.dir }

// Ping says whether the store answers.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	return s.read.QueryRowContext(ctx, `SELECT 1 FROM bases UNION SELECT 1 LIMIT 1`).Scan(&one)
}

// Announce tells the other commands of the same user where this process listens. The function it returns takes it back.
func (s *Store) Announce(srv Server) (func(), error) {
	srv.PID = os.Getpid()
	data, err := json.Marshal(srv)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(s.dir, serverFile)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return nil, fmt.Errorf("announce server: %w", err)
	}
	return func() { _ = os.Remove(file) }, nil // a stale file does no harm: the lock decides
}

// Announced is what the process that has a data folder told last; zero where none ever did. Whether it still lives is not known.
func Announced(dir string) Server {
	var srv Server
	data, err := os.ReadFile(filepath.Join(dir, serverFile))
	if err == nil {
		_ = json.Unmarshal(data, &srv) // unreadable means unknown
	}
	return srv
}

// Setting reads a small named value, "" where it was never set.
func (s *Store) Setting(ctx context.Context, name string) (string, error) {
	var value string
	err := s.read.QueryRowContext(ctx, `SELECT value FROM settings WHERE name = ?`, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}

// SetSetting keeps a small named value.
func (s *Store) SetSetting(ctx context.Context, name, value string) error {
	_, err := s.write.ExecContext(ctx, `INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	return err
}

func now() int64 { return time.Now().Unix() }

// unknownBase is the error for a knowledge base that does not exist.
func unknownBase(name string) error {
	return rag.Errorf(rag.NotFound, "unknown_db", "db: no knowledge base is called %q: create it with POST /api/dbs/create or `ollama-rag dbs create`", name)
}
