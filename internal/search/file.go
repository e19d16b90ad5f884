package search

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// file is where the index of a knowledge base is kept.
type file struct {
	path string // "" is nowhere

	mu      sync.Mutex
	known   bool   // whether the file is there and whole
	change  uint64 // that it stands for, if known
	dropped bool   // nothing may be written any more
}

// filePath gives the path of a knowledge base's file, whose name tells bases apart that differ in case only and is no device's.
func filePath(dir, db string) string {
	if dir == "" {
		return ""
	}
	safe := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, strings.ToLower(db))
	sum := sha256.Sum256([]byte(db))
	return filepath.Join(dir, safe[:min(len(safe), 64)]+"-"+hex.EncodeToString(sum[:6])+".index")
}

// read gives the snapshot in the file, nil unless it is whole, of that knowledge base and of that change.
func (f *file) read(db string, change uint64) *snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.path == "" || f.dropped {
		return nil
	}
	in, err := os.Open(f.path)
	if err != nil {
		return nil
	}
	defer in.Close()
	head := make([]byte, headSize)
	if _, err := io.ReadFull(in, head); err != nil || !headFits(head, change) {
		return nil
	}
	info, err := in.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	data := make([]byte, info.Size())
	copy(data, head)
	if _, err := io.ReadFull(in, data[min(headSize, len(data)):]); err != nil {
		return nil
	}
	s := decode(data, db, change)
	if s != nil {
		f.known, f.change = true, change
	}
	return s
}

// holds says whether the file stands for a change.
func (f *file) holds(change uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known && f.change == change
}

// write puts a snapshot into the file: whole or not at all, whatever happens.
func (f *file) write(db string, s *snapshot) error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return err
	}
	// The name is always the same, so that a crash leaves no more than one, until the next write.
	out, err := os.OpenFile(f.path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(out, 1<<20)
	err = errors.Join(encode(buffered, db, s), buffered.Flush(), out.Sync(), out.Close())
	if err == nil {
		err = f.replace(out.Name(), s.change)
	}
	if err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(out.Name())))
	}
	return nil
}

// replace makes the file at path the index file.
func (f *file) replace(path string, change uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dropped {
		return ignoreMissing(os.Remove(path))
	}
	if err := os.Rename(path, f.path); err != nil {
		return err
	}
	f.known, f.change = true, change
	if dir, err := os.Open(filepath.Dir(f.path)); err == nil {
		_ = dir.Sync() // not every system can; the file itself is safe
		_ = dir.Close()
	}
	return nil
}

// remove deletes the file.
func (f *file) remove() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.path != "" {
		_ = os.Remove(f.path) // one that stays is stale, and passed over
		_ = os.Remove(f.path + ".new")
		f.known = false
	}
}

// drop deletes the file for good.
func (f *file) drop() {
	f.remove()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dropped = true
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
