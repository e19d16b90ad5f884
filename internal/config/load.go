package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/joho/godotenv"
)

// Names of the files that are read where they exist.
const (
	DotEnvFile   = ".env"            // in the working folder
	SettingsFile = "ollama-rag.yaml" // in the data folder
)

// Prefixes of environment names that only our settings have.
var ownPrefixes = []string{"OLLAMA_RAG_", "CIRCUIT_BREAKER_", "SEMANTIC_CACHE_"}

// Names with one of our prefixes that the project's tests and scripts use.
var testNames = []string{"OLLAMA_RAG_EVAL_DATA", "OLLAMA_RAG_REAL_OLLAMA", "OLLAMA_RAG_TEST_CACHE", "OLLAMA_RAG_API_KEY"}

// Source is where settings come from, besides the defaults.
type Source struct {
	Flags   map[string]string // by flag name; only those that were given
	Environ []string          // NAME=value, as os.Environ gives them
	Dir     string            // folder of .env; empty: none is read
}

// Faults is every fault of the settings, in the order of their names.
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
	return fmt.Sprintf("%q", s.Value)
}

// pick takes the value of highest rank.
func (s *Setting) pick(flags, env, dotenv, file map[string]string) {
	s.Value, s.Origin = s.Default, "default"
	if v, ok := file[strings.ToLower(s.Env)]; ok {
		s.Value, s.Origin = v, SettingsFile
	}
	if v, ok := dotenv[s.Env]; ok {
		s.Value, s.Origin = v, DotEnvFile
	}
	// An empty variable counts as unset, as in most tools that people start services with.
	if v := env[s.Env]; v != "" {
		s.Value, s.Origin = v, "environment"
	}
	if v, ok := flags[s.Flag]; ok && s.Flag != "" {
		s.Value, s.Origin = v, "flag --"+s.Flag
	}
}

// together checks what no setting can check alone. A default gives way to a neighbour that somebody set.
func (c *Config) together(all []*Setting) Faults {
	byDefault := func(env string) bool {
		return slices.ContainsFunc(all, func(s *Setting) bool { return s.Env == env && s.Origin == "default" })
	}
	if byDefault("CHUNK_OVERLAP") && c.ChunkOverlap >= c.ChunkSize {
		c.ChunkOverlap = c.ChunkSize * 15 / 100
	}
	if byDefault("CIRCUIT_BREAKER_MIN_CALLS") {
		c.BreakerMinCalls = min(c.BreakerMinCalls, c.BreakerWindowSize)
	}
	if byDefault("CIRCUIT_BREAKER_MAX_TIMEOUT") {
		c.BreakerMaxTimeout = max(c.BreakerMaxTimeout, c.BreakerTimeout)
	}
	var f Faults
	if c.ChunkOverlap >= c.ChunkSize && c.ChunkSize > 0 {
		f = append(f, fmt.Sprintf("CHUNK_OVERLAP=%d: must be below CHUNK_SIZE, which is %d", c.ChunkOverlap, c.ChunkSize))
	}
	if c.BreakerMinCalls > c.BreakerWindowSize && c.BreakerWindowSize > 0 {
		f = append(f, fmt.Sprintf("CIRCUIT_BREAKER_MIN_CALLS=%d: must be at most CIRCUIT_BREAKER_WINDOW_SIZE, which is %d", c.BreakerMinCalls, c.BreakerWindowSize))
	}
	if c.BreakerMaxTimeout < c.BreakerTimeout {
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
	if err != nil {
		return nil, fmt.Errorf("%s: %v", DotEnvFile, err)
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
		return nil, fmt.Errorf("%s: %s", SettingsFile, strings.Join(strings.Fields(yaml.FormatError(err, false, false)), " "))
	}
	out := map[string]string{}
	for key, value := range raw {
		if items, ok := value.([]any); ok {
			parts := make([]string, len(items))
			for i, item := range items {
				parts[i] = fmt.Sprint(item)
			}
			value = strings.Join(parts, ",")
		}
		out[key] = fmt.Sprint(value)
	}
	return out, nil
}

func unknown(all []*Setting, env map[string]string, where string) Faults {
	var f Faults
	for name := range env {
		own := slices.ContainsFunc(ownPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
		if own && !slices.Contains(testNames, name) && !slices.ContainsFunc(all, func(s *Setting) bool { return s.Env == name }) {
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

// hostURL reads Ollama's own OLLAMA_HOST: "host", "host:port", ":port", or a URL; 0.0.0.0 is a place to listen, so it
// becomes loopback.
func hostURL(v string) string {
	scheme := "http"
	if s, rest, ok := strings.Cut(v, "://"); ok {
		scheme, v = s, rest
	}
	v, path, _ := strings.Cut(v, "/")
	host, port := v, "11434"
	if i := strings.LastIndexByte(v, ':'); i >= 0 && !strings.HasSuffix(v, "]") {
		host, port = v[:i], v[i+1:]
	} else if scheme == "https" {
		port = "443"
	}
	switch strings.Trim(host, "[]") {
	case "", "0.0.0.0", "::":
		host = "127.0.0.1"
	}
	if path != "" {
		path = "/" + path
	}
	return scheme + "://" + host + ":" + port + path
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
