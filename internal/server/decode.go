package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// decode reads a JSON body into v, and gives the names of fields that v does not have: they are passed over, and the answer
// says so.
func (s *Server) decode(w http.ResponseWriter, r *http.Request, v any) (unknown []string, err error) {
	s.allowRead(w)
	var body bytes.Buffer
	if 0 < r.ContentLength && r.ContentLength <= s.MaxBody {
		body.Grow(int(min(r.ContentLength, 64<<10)) + bytes.MinRead) // read in one go; what is claimed and not sent takes no more
	}
	_, err = body.ReadFrom(http.MaxBytesReader(nil, r.Body, s.MaxBody))
	data := body.Bytes()
	s.endRead(w)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, rag.Errorf(rag.Malformed, "", "the body did not come within %s", readTimeout).Because(err)
	}
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, rag.Errorf(rag.Malformed, "", "the request has no body: send a JSON object")
	}
	strict := json.NewDecoder(bytes.NewReader(data))
	strict.DisallowUnknownFields()
	if strict.Decode(v) == nil && len(bytes.TrimSpace(data[strict.InputOffset():])) == 0 {
		return nil, nil // all is known: the usual case, read once
	}
	if err := json.Unmarshal(data, v); err != nil {
		return nil, badJSON(err, data)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, rag.Errorf(rag.Malformed, "", "the body must be a JSON object").Because(err)
	}
	known := jsonNames(reflect.TypeOf(v).Elem())
	for name := range fields {
		if !slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, name) }) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown, nil
}

func badJSON(err error, data []byte) error {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		if e.Offset >= int64(len(data)) {
			return rag.Errorf(rag.Malformed, "", "the body is not whole JSON: it ends too early").Because(err)
		}
		return rag.Errorf(rag.Malformed, "", "the body is not JSON: a fault at byte %d", e.Offset).Because(err)
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if e.Field == "" {
			return rag.Errorf(rag.Malformed, "", "the body must be a JSON object, not a %s", clip(e.Value)).Because(err)
		}
		return rag.Errorf(rag.Malformed, "", "%s: a JSON %s is not allowed here, it must be %s", e.Field, clip(e.Value), kindOf(e.Type)).Because(err)
	}
	return rag.Errorf(rag.Malformed, "", "the body cannot be read as JSON").Because(err)
}

func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	case reflect.String:
		return "a string"
	}
	return "an object"
}

func jsonNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			names = append(names, jsonNames(f.Type)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// bounds collects what is out of bounds in a request, to be told at once.
type bounds []string

func (b *bounds) check(ok bool, format string, args ...any) {
	if !ok {
		*b = append(*b, fmt.Sprintf(format, args...))
	}
}

func (b bounds) err() error {
	if len(b) == 0 {
		return nil
	}
	return rag.Errorf(rag.OutOfBounds, "", "%s", strings.Join(b, "; "))
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	data, err := encodeJSON(v)
	if err != nil {
		return err
	}
	writeData(w, status, data)
	return nil
}

// writeData writes a whole answer of JSON, in one or more parts.
func writeData(w http.ResponseWriter, status int, parts ...[]byte) {
	length := 0
	for _, part := range parts {
		length += len(part)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(length))
	w.WriteHeader(status)
	for _, part := range parts {
		_, _ = w.Write(part) // a client that left is nobody to tell
	}
}

// encodeJSON is v and a line break. Characters stay as they are: nothing here is put into HTML.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(1 << 10)
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// orElse is *p, or the default where the request has no such field.
func orElse[T any](p *T, def T) T {
	if p == nil {
		return def
	}
	return *p
}
