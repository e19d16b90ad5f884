package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Setting is one setting: where it comes from, what it may be, and what it is now.
type Setting struct {
	Env     string
	Flag    string // empty: no flag of its own
	Default string
	Help    string
	Allowed string // what it may be, in words
	Boolean bool
	Secret  bool
	Value   string // as given
	Origin  string // "flag --x", "environment", a file's name, or "default"

	set func(string) error
}

// Shown is the value for people to read: secrets are masked, passwords in URLs too.
func (s *Setting) Shown() string {
	if s.Secret && s.Value != "" {
		return "(hidden)"
	}
	return userInfo.ReplaceAllString(s.Value, "://(hidden)@")
}

var userInfo = regexp.MustCompile(`://[^/,\s]*@`)

func setting(env, name, def, help, allowed string, set func(string) error) *Setting {
	return &Setting{Env: env, Flag: name, Default: def, Help: help, Allowed: allowed, set: set}
}

func text(p *string, env, name, def, help string, check func(string) error) *Setting {
	return setting(env, name, def, help, "", func(v string) error {
		if check != nil {
			if err := check(v); err != nil {
				return err
			}
		}
		*p = v
		return nil
	})
}

func list(p *[]string, env, name, def, help string, check func(string) error) *Setting {
	return setting(env, name, def, help, "a comma-separated list", func(v string) error {
		*p = nil
		var errs []error
		for item := range strings.SplitSeq(v, ",") {
			if item = strings.TrimSpace(item); item == "" {
				continue
			}
			if check != nil {
				errs = append(errs, check(item))
			}
			*p = append(*p, item)
		}
		return errors.Join(errs...)
	})
}

func secrets(p *[]string, env, help string, check func(string) error) *Setting {
	s := list(p, env, "", "", help, check)
	read := s.set
	s.Secret = true
	s.set = func(v string) error {
		if file, ok := strings.CutPrefix(v, "@"); ok {
			data, err := os.ReadFile(file)
			if err != nil {
				if cause, ok := errors.AsType[*fs.PathError](err); ok {
					err = cause.Err // without the path: it may be a key that somebody wrote behind an @
				}
				return fmt.Errorf("the file that it names behind the @ cannot be read: %w", err)
			}
			v = strings.Join(strings.Fields(string(data)), ",")
		}
		return read(v)
	}
	return s
}

func flag(p *bool, env, name string, def bool, help string) *Setting {
	s := setting(env, name, strconv.FormatBool(def), help, "true or false", func(v string) error {
		switch strings.ToLower(v) {
		case "1", "true", "yes", "on":
			*p = true
		case "0", "false", "no", "off":
			*p = false
		default:
			return errors.New("true or false is allowed")
		}
		return nil
	})
	s.Boolean = true
	return s
}

func number(p *int, env string, def int, help string, low, high int) *Setting {
	allowed := fmt.Sprintf("a whole number from %d to %d", low, high)
	return setting(env, "", strconv.Itoa(def), help, allowed, func(v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < low || n > high {
			return fmt.Errorf("%s is allowed", allowed)
		}
		*p = n
		return nil
	})
}

func bytes(p *int64, env string, def int64, help string, low int64) *Setting {
	allowed := fmt.Sprintf("a whole number of bytes from %d up", low)
	return setting(env, "", strconv.FormatInt(def, 10), help, allowed, func(v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			f, ferr := strconv.ParseFloat(v, 64) // 10e6
			n, err = int64(f), ferr
			if f != math.Trunc(f) || f > 1<<60 {
				err = strconv.ErrRange
			}
		}
		if err != nil || n < low {
			return fmt.Errorf("%s is allowed", allowed)
		}
		*p = n
		return nil
	})
}

func real(p *float64, env string, def float64, help string, low, high float64) *Setting {
	allowed := fmt.Sprintf("a number from %g to %g", low, high)
	return setting(env, "", strconv.FormatFloat(def, 'g', -1, 64), help, allowed, func(v string) error {
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || math.IsNaN(f) || f < low || f > high {
			return fmt.Errorf("%s is allowed", allowed)
		}
		*p = f
		return nil
	})
}

// fraction is above 0 and at most 1.
func fraction(p *float64, env string, def float64, help string) *Setting {
	return real(p, env, def, help, 1e-6, 1)
}

func seconds(p *time.Duration, env string, def time.Duration, help string, low, high time.Duration) *Setting {
	allowed := fmt.Sprintf("seconds from %g to %g, or a time with a unit like 90s or 5m,", low.Seconds(), high.Seconds())
	return setting(env, "", strconv.FormatFloat(def.Seconds(), 'g', -1, 64), help, allowed, func(v string) error {
		d, err := time.ParseDuration(v)
		if f, ferr := strconv.ParseFloat(v, 64); ferr == nil {
			d, err = time.Duration(f*float64(time.Second)), nil
			if math.IsNaN(f) || math.Abs(f) > high.Seconds() {
				err = strconv.ErrRange
			}
		}
		if err != nil || d < low || d > high {
			return fmt.Errorf("%s is allowed", allowed)
		}
		*p = d
		return nil
	})
}

func choice(p *string, env, def, help string, values ...string) *Setting {
	return setting(env, "", def, help, strings.Join(values, ", "), func(v string) error {
		if !slices.Contains(values, v) {
			return fmt.Errorf("one of %s is allowed", strings.Join(values, ", "))
		}
		*p = v
		return nil
	})
}

func level(p *slog.Level, env, def, help string) *Setting {
	return setting(env, "", def, help, "debug, info, warn, error", func(v string) error {
		if err := p.UnmarshalText([]byte(v)); err != nil {
			return errors.New("one of debug, info, warn, error is allowed")
		}
		return nil
	})
}

func address(v string) error {
	if _, port, err := net.SplitHostPort(v); err == nil {
		if n, err := strconv.Atoi(port); err == nil && n >= 0 && n <= 65535 {
			return nil
		}
	}
	return errors.New("HOST:PORT is allowed, like 127.0.0.1:8000")
}

func notEmpty(v string) error {
	if v == "" {
		return errors.New("a folder is needed")
	}
	return nil
}

func embedModel(v string) error {
	if path, file := strings.CutPrefix(v, "file:"); v == "" || file && path == "" {
		return errors.New("builtin, file:PATH or the name of a model on Ollama is allowed")
	}
	if strings.HasPrefix(v, "/") || strings.HasPrefix(v, "./") || strings.HasPrefix(v, "../") {
		return fmt.Errorf("a packed model's file is named file:%s", v)
	}
	return nil
}

var dbNames = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

func dbName(v string) error {
	if !dbNames.MatchString(v) {
		return errors.New("a letter or digit first, then letters, digits, '_', '-' or '.', at most 64, is allowed")
	}
	return nil
}

func webURL(v string) (*url.URL, error) {
	u, err := url.Parse(v)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("a URL like http://localhost:11434 is allowed")
	}
	return u, nil
}

func baseURL(v string) error {
	u, err := webURL(v)
	if err == nil && (u.RawQuery != "" || u.Fragment != "") {
		err = errors.New("a URL without query or fragment is allowed")
	}
	return err
}

// DefaultOpenAIBaseURL is where OpenAI itself is.
const DefaultOpenAIBaseURL = "https://api.openai.com/v1"

func openAIBaseURL(v string) error {
	if err := baseURL(v); err != nil {
		return err
	}
	if !strings.HasSuffix(strings.TrimSuffix(v, "/"), "/v1") {
		return errors.New("a URL that ends in /v1 is allowed, as in " + DefaultOpenAIBaseURL)
	}
	return nil
}

func origin(v string) error {
	if v == "*" {
		return errors.New("origins are named one by one; * is not allowed")
	}
	u, err := webURL(v)
	if err == nil && strings.Trim(u.Path, "/") != "" {
		err = errors.New("an origin like https://example.org, without a path, is allowed")
	}
	return err
}

// Roles are the roles that an API key can have, each including those before it.
var Roles = []string{"read", "write", "admin"}

// minKeyLength keeps keys from being guessed.
const minKeyLength = 16

func cachedRoute(v string) error {
	switch v {
	case "all", "/api/chat", "/api/generate", "/v1/chat/completions", "/v1/completions":
		return nil
	}
	return errors.New("all, /api/chat, /api/generate, /v1/chat/completions and /v1/completions are allowed")
}

func apiKey(v string) error {
	role, key, ok := strings.Cut(v, ":")
	if !ok || !slices.Contains(Roles, role) || len(key) < minKeyLength {
		return fmt.Errorf("ROLE:KEY with a role of %s and a key of at least %d characters is allowed", strings.Join(Roles, ", "), minKeyLength)
	}
	return nil
}

// DefaultDataDir is $XDG_DATA_HOME/ollama-rag, else ~/.local/share/ollama-rag, or the system's own place on Windows.
func DefaultDataDir() string {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "ollama-rag")
	}
	if dir := os.Getenv("LOCALAPPDATA"); dir != "" {
		return filepath.Join(dir, "ollama-rag")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "share", "ollama-rag")
	}
	return "ollama-rag-data"
}

// traceEndpoint checks the address that traces are posted to.
func traceEndpoint(v string) error {
	u, err := url.Parse(v)
	if v != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return errors.New("a URL such as http://127.0.0.1:4318 is allowed")
	}
	return nil
}

func traceHeader(v string) error {
	name, _, ok := strings.Cut(v, "=")
	if !ok || strings.TrimSpace(name) == "" {
		return errors.New("NAME=VALUE is wanted for each header")
	}
	return nil
}

// debugAddr checks that an address is one of this machine alone.
func debugAddr(v string) error {
	if v == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(v)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errors.New("an address on loopback such as 127.0.0.1:6060 is allowed")
	}
	return nil
}
