package ingest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// list finds the files of a request. Symbolic links inside a folder are not followed; hidden files and folders are passed
// over; a file named in the request itself is always taken. Files of a kind that cannot be read are listed, to be reported.
func (s *Service) list(req rag.IngestRequest, progress func(int)) ([]*file, error) {
	var files []*file
	sources, paths := map[string]bool{}, map[string]bool{}
	add := func(name, path string, upload bool, err error) error {
		source := filepath.ToSlash(name)
		if paths[path] {
			return nil
		}
		paths[path] = true
		if sources[source] { // another file of this name
			if upload {
				err = rag.Errorf(rag.Unreadable, "same_name", "has the name of another file of this upload")
			} else {
				source = filepath.ToSlash(path)
			}
		}
		sources[source] = true
		if len(files) >= s.Config.MaxFiles {
			return rag.Errorf(rag.TooLarge, "", "more than INGEST_MAX_FILES, %d files, in one job: ingest a smaller folder at a time", s.Config.MaxFiles)
		}
		if err == nil && !s.Reader.Supports(source) {
			err = rag.Errorf(rag.Unreadable, "unsupported", "%s files are not a kind that can be read (.txt .md .html .pdf .docx)", kindName(source))
		}
		f := &file{source: source, path: path, upload: upload, err: err, result: make(chan struct{})}
		if info, err := os.Stat(path); err == nil && f.err == nil {
			f.size = info.Size()
		}
		files = append(files, f)
		progress(len(files))
		return nil
	}
	for _, p := range req.Paths {
		if err := walk(p, add); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func kindName(path string) string {
	if ext := filepath.Ext(path); ext != "" {
		return ext
	}
	return "extensionless"
}

func walk(p rag.IngestPath, add func(name, path string, upload bool, err error) error) error {
	info, err := os.Stat(p.File)
	if err != nil {
		return add(p.Name, p.File, p.Upload, rag.Errorf(rag.Unreadable, "", "cannot be opened: %s", plain(err)).Because(err))
	}
	if !info.IsDir() {
		if p.Name == "" {
			p.Name = filepath.Base(p.File) // it was called "."
		}
		return add(p.Name, p.File, p.Upload, irregular(info.Mode()))
	}
	return filepath.WalkDir(p.File, func(path string, entry fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(p.File, path)
		if relErr != nil {
			return relErr
		}
		name := filepath.Join(p.Name, rel)
		if err != nil {
			if addErr := add(name, path, p.Upload, rag.Errorf(rag.Unreadable, "", "cannot be opened: %s", plain(err)).Because(err)); addErr != nil {
				return addErr
			}
			return fs.SkipDir
		}
		hidden := rel != "." && strings.HasPrefix(entry.Name(), ".")
		switch {
		case entry.IsDir() && hidden:
			return fs.SkipDir
		case entry.IsDir() || hidden:
			return nil
		}
		return add(name, path, p.Upload, irregular(entry.Type()))
	})
}

// irregular refuses what is not a plain file: links (which could lead out of the folder), devices, pipes.
func irregular(mode fs.FileMode) error {
	switch {
	case mode.IsRegular():
		return nil
	case mode&fs.ModeSymlink != 0:
		return rag.Errorf(rag.Unreadable, "symlink", "is a symbolic link: links are not followed")
	}
	return rag.Errorf(rag.Unreadable, "irregular", "is not a regular file")
}

// inside says whether path lies in folder, or is it.
func inside(folder, path string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// ResolvePath checks a path that a client named against the folders it may read from, and gives its absolute form with
// every link resolved, so that no link leads out of them. Nil roots allow every folder. What lies outside is refused in
// the same words whether it exists or not. Globs are not expanded: name a folder instead.
func ResolvePath(path string, roots []string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", rag.Errorf(rag.OutOfBounds, "", "paths: %q is not a path", path).Because(err)
	}
	within := func(p string) bool {
		return roots == nil || slices.ContainsFunc(roots, func(root string) bool {
			return root != "" && (inside(resolved(root), p) || inside(root, p))
		})
	}
	real, err := filepath.EvalSymlinks(abs)
	switch {
	case err == nil && within(real):
		return real, nil
	case err == nil || !within(abs):
		return "", outside(path)
	case errors.Is(err, fs.ErrNotExist):
		return "", rag.Errorf(rag.NotFound, "unknown_path", "paths: there is no %q", path)
	}
	return "", rag.Errorf(rag.Unreadable, "", "paths: %q cannot be opened: %s", path, plain(err)).Because(err)
}

func outside(path string) error {
	return rag.Errorf(rag.Forbidden, "path_not_allowed", "paths: %q is outside the folders this server may read: add its folder to INGEST_ROOTS, upload the file, or run `ollama-rag ingest` as the server's user", path)
}

// resolved is a path, absolute and without links as far as it can be.
func resolved(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}
