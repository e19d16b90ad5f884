package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// house is a data folder and a working folder with their files.
type house struct{ data, work string }

func newHouse(t testing.TB, dotenv, settings string) house {
	t.Helper()
	h := house{t.TempDir(), t.TempDir()}
	write := func(dir, name, text string) {
		if text != "" {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(h.work, DotEnvFile, dotenv)
	write(h.data, SettingsFile, settings)
	return h
}

func (h house) load(flags map[string]string, environ ...string) (Config, []*Setting, error) {
	return Load(Source{Flags: flags, Environ: append(environ, "OLLAMA_RAG_DATA_DIR="+h.data), Dir: h.work})
}

func find(all []*Setting, env string) *Setting {
	return all[slices.IndexFunc(all, func(s *Setting) bool { return s.Env == env })]
}

func TestFlagBeatsEnvironmentBeatsDotEnvBeatsFileBeatsDefault(t *testing.T) {
	h := newHouse(t, "OLLAMA_RAG_ADDR=:3\n", "ollama_rag_addr: ':4'\n")
	none := newHouse(t, "", "")
	for _, c := range []struct {
		house  house
		flags  map[string]string
		env    []string
		value  string
		origin string
	}{
		{h, map[string]string{"addr": ":1"}, []string{"OLLAMA_RAG_ADDR=:2"}, ":1", "flag --addr"},
		{h, nil, []string{"OLLAMA_RAG_ADDR=:2"}, ":2", "environment"},
		{h, nil, []string{"OLLAMA_RAG_ADDR="}, ":3", DotEnvFile}, // empty is unset
		{h, nil, nil, ":3", DotEnvFile},
		{newHouse(t, "OLLAMA_RAG_ADDR=\n", "ollama_rag_addr: ':4'"), nil, nil, ":4", SettingsFile},
		{none, nil, nil, "127.0.0.1:8000", "default"},
	} {
		conf, all, err := c.house.load(c.flags, c.env...)
		if s := find(all, "OLLAMA_RAG_ADDR"); err != nil || conf.Addr != c.value || s.Origin != c.origin || s.Value != c.value {
			t.Errorf("%+v: %q from %s (%v)", c, conf.Addr, s.Origin, err)
		}
	}
}

func TestEveryDefaultIsAllowedAndEverySettingIsExplained(t *testing.T) {
	conf, all, err := newHouse(t, "", "").load(nil)
	if err != nil {
		t.Fatal(err)
	}
	if conf.NumCtx != 4096 || conf.CacheTTL != time.Hour || conf.MaxBody != 10<<20 || !conf.CacheEnabled || conf.CacheThreshold != .95 || conf.LogLevel != slog.LevelInfo ||
		!slices.Equal(conf.BaseURLs, []string{"http://localhost:11434"}) || conf.BreakerTimeout != 30*time.Second || conf.RetryBackoff != 600*time.Millisecond {
		t.Errorf("config %+v", conf)
	}
	names, flags := map[string]bool{}, map[string]bool{}
	for _, s := range all {
		if s.Help == "" || strings.HasSuffix(s.Help, ".") || !regexp.MustCompile(`^[A-Z][A-Z0-9_]+$`).MatchString(s.Env) || names[s.Env] {
			t.Errorf("%s: help %q", s.Env, s.Help)
		}
		if s.Flag != "" && flags[s.Flag] {
			t.Errorf("two settings have the flag --%s", s.Flag)
		}
		names[s.Env], flags[s.Flag] = true, true
	}
	if len(All()) != len(all) || len(Flags()) == 0 || slices.ContainsFunc(Flags(), func(s *Setting) bool { return s.Flag == "" }) {
		t.Error("All and Flags")
	}
}

func TestAllFaultsAreReportedAtOnceWithNameValueAndWhatIsAllowed(t *testing.T) {
	h := newHouse(t, "RRF_K=none\nOLLAMA_RAG_ADR=x\n", "chunk_size: 3\nno_such: 1\n")
	_, _, err := h.load(map[string]string{"addr": "nowhere"}, "SEMANTIC_CACHE_SIZE=0", "SEMANTIC_CACHE_THRESHOLD=1.5", "CIRCUIT_BREAKER_TIMEOT=3", "OLLAMA_ANYTHING=1", "EMBED_MODEL=/models/minilm.bin")
	faults, ok := errors.AsType[Faults](err)
	if !ok {
		t.Fatal(err)
	}
	for _, want := range []string{
		`OLLAMA_RAG_ADDR="nowhere" (flag --addr): HOST:PORT is allowed`,
		`RRF_K="none" (.env): a number from 1e-09 to 10000 is allowed`,
		`CHUNK_SIZE="3" (ollama-rag.yaml): a whole number from 50 to 20000 is allowed`,
		`EMBED_MODEL="/models/minilm.bin" (environment): a packed model's file is named file:/models/minilm.bin`,
		`SEMANTIC_CACHE_SIZE="0" (environment): a whole number from 1 to`,
		`SEMANTIC_CACHE_THRESHOLD="1.5" (environment): a number from`,
		`CIRCUIT_BREAKER_TIMEOT (environment): no setting has this name; did you mean CIRCUIT_BREAKER_TIMEOUT?`,
		`OLLAMA_RAG_ADR (.env): no setting has this name; did you mean OLLAMA_RAG_ADDR?`,
		`no_such (ollama-rag.yaml): no setting has this name; `,
	} {
		if !slices.ContainsFunc(faults, func(f string) bool { return strings.HasPrefix(f, want) }) {
			t.Errorf("no fault begins with %q in\n%v", want, err)
		}
	}
	if len(faults) != 9 {
		t.Errorf("%d faults: %v", len(faults), err)
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	const secret = "hunter2hunter2hunter2"
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte("read:"+secret+"\nadmin:"+secret+"x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dotenv, settings string
		env              []string
		fault            bool
	}{
		"good":              {"", "", []string{"API_KEYS=read:" + secret}, false},
		"from a file":       {"", "", []string{"API_KEYS=@" + file}, false},
		"bad role":          {"", "", []string{"API_KEYS=root:" + secret}, true},
		"bad in .env":       {"API_KEYS=root:" + secret, "", nil, true},
		"bad file":          {"", "", []string{"API_KEYS=@/" + secret}, true},
		".env unreadable":   {"API_KEYS='read:" + secret, "", nil, true},
		".env nonsense":     {"API!KEYS=" + secret, "", nil, true},
		"yaml unreadable":   {"", "api_keys: \"read:" + secret, nil, true},
		"yaml nonsense":     {"", "api_keys: [read:" + secret + "\n  {:" + secret, nil, true},
		"yaml no map":       {"", secret, nil, true},
		"yaml nested":       {"", "api_keys: {read: " + secret + "}", nil, true},
		"in a URL":          {"", "", []string{"OLLAMA_BASE_URL=http://me:" + secret + "@host:1"}, false},
		"in a bad URL":      {"", "", []string{"OLLAMA_BASE_URL=http://me:" + secret + "@host:1?x"}, true},
		"in an ended quote": {"API_KEYS=\"root:" + secret + "\" x: y = z", "", nil, true},
	} {
		conf, all, err := newHouse(t, c.dotenv, c.settings).load(nil, c.env...)
		if (err != nil) != c.fault || strings.Contains(fmt.Sprint(err), secret) {
			t.Errorf("%s: %v", name, err)
		}
		for _, s := range all {
			if strings.Contains(s.Shown(), secret) {
				t.Errorf("%s: %s shows %q", name, s.Env, s.Shown())
			}
		}
		if name == "from a file" && !slices.Equal(conf.APIKeys, []string{"read:" + secret, "admin:" + secret + "x"}) {
			t.Errorf("keys %v", conf.APIKeys)
		}
	}
}

func TestOllamasOwnVariableIsReadAsOllamaReadsIt(t *testing.T) {
	h := newHouse(t, "", "")
	for in, want := range map[string]string{
		"": "http://localhost:11434", "host": "http://host:11434", "host:1": "http://host:1", ":2": "http://127.0.0.1:2", "0.0.0.0": "http://127.0.0.1:11434",
		"0.0.0.0:3": "http://127.0.0.1:3", "[::]:4": "http://127.0.0.1:4", "::1": "http://[::1]:11434", "[::1]": "http://[::1]:11434", "[::1]:5": "http://[::1]:5",
		"http://host": "http://host:80", "https://host": "https://host:443", "https://host:6/path": "https://host:6/path", "host/": "http://host:11434",
		" 'host:7' ": "http://host:7", "host:99999": "http://host:11434",
	} {
		conf, all, err := h.load(nil, "OLLAMA_HOST="+in)
		if err != nil || !slices.Equal(conf.BaseURLs, []string{want}) {
			t.Errorf("%q: %v, %v, want %s", in, conf.BaseURLs, err, want)
		}
		if s := find(all, "OLLAMA_BASE_URL"); in != "" && s.Origin != "environment OLLAMA_HOST" {
			t.Errorf("%q: origin %s", in, s.Origin)
		}
	}
	if conf, _, err := h.load(nil, "OLLAMA_HOST=other", "OLLAMA_BASE_URL=http://a:1, https://b/x"); err != nil || !slices.Equal(conf.BaseURLs, []string{"http://a:1", "https://b/x"}) {
		t.Error(conf.BaseURLs, err)
	}
	if _, _, err := h.load(nil, "OLLAMA_HOST=ftp://host"); err == nil || !strings.Contains(err.Error(), "environment OLLAMA_HOST") {
		t.Error(err)
	}
}

func TestLimitsThatDependOnEachOther(t *testing.T) {
	h := newHouse(t, "", "")
	for _, c := range []struct {
		env   []string
		check func(Config) bool
		fault string // empty: none
	}{
		{[]string{"CHUNK_SIZE=100"}, func(c Config) bool { return c.ChunkOverlap == 15 }, ""},
		{[]string{"CHUNK_SIZE=200"}, func(c Config) bool { return c.ChunkOverlap == 120 }, ""},
		{[]string{"CHUNK_SIZE=100", "CHUNK_OVERLAP=100"}, nil, "CHUNK_OVERLAP=100: must be below CHUNK_SIZE"},
		{[]string{"CIRCUIT_BREAKER_WINDOW_SIZE=4"}, func(c Config) bool { return c.BreakerMinCalls == 4 }, ""},
		{[]string{"CIRCUIT_BREAKER_WINDOW_SIZE=4", "CIRCUIT_BREAKER_MIN_CALLS=5"}, nil, "CIRCUIT_BREAKER_MIN_CALLS=5: must be at most"},
		{[]string{"CIRCUIT_BREAKER_TIMEOUT=10m"}, func(c Config) bool { return c.BreakerMaxTimeout == 10*time.Minute }, ""},
		{[]string{"CIRCUIT_BREAKER_TIMEOUT=10m", "CIRCUIT_BREAKER_MAX_TIMEOUT=5m"}, nil, "CIRCUIT_BREAKER_MAX_TIMEOUT=5m0s: must be at least"},
		{[]string{"CIRCUIT_BREAKER_MAX_TIMEOUT=x"}, nil, `CIRCUIT_BREAKER_MAX_TIMEOUT="x"`}, // once, not twice
		{[]string{"CHUNK_SIZE=x"}, nil, `CHUNK_SIZE="x"`},
	} {
		conf, all, err := h.load(nil, c.env...)
		faults, _ := errors.AsType[Faults](err)
		switch {
		case c.fault == "" && (err != nil || !c.check(conf)):
			t.Errorf("%v: %v, %+v", c.env, err, conf)
		case c.fault != "" && (len(faults) != 1 || !strings.HasPrefix(faults[0], c.fault)):
			t.Errorf("%v: %v", c.env, err)
		}
		if c.fault == "" && find(all, "CHUNK_OVERLAP").Value != fmt.Sprint(conf.ChunkOverlap) {
			t.Errorf("%v: shown as %s", c.env, find(all, "CHUNK_OVERLAP").Value)
		}
	}
}

func TestEachKindTakesWhatPeopleWriteAndNothingElse(t *testing.T) {
	h := newHouse(t, "", "")
	for name, values := range map[string]struct{ good, bad []string }{
		"MAX_BODY_BYTES":           {[]string{"1024", "10e6"}, []string{"1023", "-1", "1.5", "NaN", "Inf", "-Inf", "1e30", "10MB"}},
		"OLLAMA_NUM_CTX":           {[]string{"1024", "1048576"}, []string{"1023", "4k", "1e3", "99999999999999999999"}},
		"SEMANTIC_CACHE_THRESHOLD": {[]string{"1", "0.5", ".000001"}, []string{"0", "-1", "NaN", "Inf", "95%"}},
		"SEMANTIC_CACHE_TTL":       {[]string{"1", "0.5", "90s", "5m", "1h30m"}, []string{"0", "-5", "NaN", "Inf", "1e300", "1d", "9999999999"}},
		"METRICS_ENABLED":          {[]string{"1", "TRUE", "yes", "on", "0", "False", "no", "off"}, []string{"2", "y", "enabled"}},
		"LOG_LEVEL":                {[]string{"debug", "INFO", "warn", "error"}, []string{"loud", "0"}},
		"LOG_FORMAT":               {[]string{"text", "json"}, []string{"JSON", "xml"}},
		"DB_NAME":                  {[]string{"a", "A.b-c_9"}, []string{".", "..", "-x", "a/b", strings.Repeat("a", 65)}},
		"CORS_ORIGINS":             {[]string{"https://a.example, http://b:1/", ","}, []string{"*", "a.example", "https://a/path", "ftp://a"}},
		"OLLAMA_BASE_URL":          {[]string{"http://a", "http://a:1/x,https://b"}, []string{"a", "a:1", "http://", "http://a?x=1", "http://a#x", "http://a:b:c"}},
		"API_KEYS":                 {[]string{"read:0123456789abcdef, admin:0123456789abcdef"}, []string{"0123456789abcdef", "read:short", "root:0123456789abcdef"}},
		"OLLAMA_RAG_ADDR":          {[]string{":0", "[::1]:80", "localhost:65535"}, []string{"80", "localhost", ":65536", ":-1", ":http"}},
	} {
		for _, v := range values.good {
			if _, _, err := h.load(nil, name+"="+v); err != nil {
				t.Errorf("%s=%s: %v", name, v, err)
			}
		}
		for _, v := range values.bad {
			if _, _, err := h.load(nil, name+"="+v); err == nil || !strings.Contains(err.Error(), "allowed") {
				t.Errorf("%s=%s: %v", name, v, err)
			}
		}
	}
}

func TestTheSettingsFileHoldsValuesAndLists(t *testing.T) {
	conf, all, err := newHouse(t, "", `
ollama_base_url: [http://a:1, http://b:2]
llm_model:            # nothing: as if it were not there
metrics_enabled: false
max_body_bytes: 10e6
semantic_cache_threshold: 0.9
semantic_cache_ttl: 5m
`).load(nil)
	if err != nil || !slices.Equal(conf.BaseURLs, []string{"http://a:1", "http://b:2"}) || conf.LLMModel != "" || conf.Metrics || conf.MaxBody != 10_000_000 || conf.CacheThreshold != .9 || conf.CacheTTL != 5*time.Minute {
		t.Errorf("%+v, %v", conf, err)
	}
	if s := find(all, "LLM_MODEL"); s.Origin != "default" {
		t.Errorf("origin %s", s.Origin)
	}
	for settings, want := range map[string]string{
		"llm_model: {a: b}":                  "llm_model must be one value or a list",
		"cors_origins: [[a]]":                "cors_origins must be one value or a list",
		"ollama_rag_data_dir: /elsewhere":    "cannot set ollama_rag_data_dir",
		"LLM_MODEL: x":                       "LLM_MODEL (ollama-rag.yaml): no setting has this name; did you mean LLM_MODEL?",
		"addr: ':1'\nllm_model: \"x\nfoo: 1": "ollama-rag.yaml: ",
	} {
		if _, _, err := newHouse(t, "", settings).load(nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", settings, err)
		}
	}
}

func TestFilesThatCannotBeReadAreFaults(t *testing.T) {
	h := newHouse(t, "", "")
	for _, path := range []string{filepath.Join(h.work, DotEnvFile), filepath.Join(h.data, SettingsFile)} {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := h.load(nil)
	if faults, _ := errors.AsType[Faults](err); len(faults) != 2 || strings.Contains(err.Error(), h.work) {
		t.Error(err)
	}
	if _, _, err := Load(Source{Environ: []string{"OLLAMA_RAG_DATA_DIR=" + t.TempDir()}}); err != nil {
		t.Errorf("without a working folder: %v", err)
	}
}

func TestTheDataFolderFollowsTheSystemsCustom(t *testing.T) {
	t.Setenv("LOCALAPPDATA", "")
	t.Setenv("HOME", "/home/x")
	for xdg, want := range map[string]string{"/data": "/data/ollama-rag", "relative": "/home/x/.local/share/ollama-rag", "": "/home/x/.local/share/ollama-rag"} {
		t.Setenv("XDG_DATA_HOME", xdg)
		if got := DefaultDataDir(); got != want {
			t.Errorf("XDG_DATA_HOME=%q: %s", xdg, got)
		}
	}
}

func TestSuggestionsAreNear(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"abc", "abc", 0}, {"abc", "acb", 2}} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("OLLAMA_NUM_CTX=2048\nexport X='a\nb'", "llm_model: x\ncors_origins: [http://a, http://b]\n", "host:1")
	f.Add("A=\"", "a: &x [*x]", "[::1")
	f.Add("API_KEYS=read:0123456789abcdef", "- a\n- {b: 1e999}", "://")
	f.Fuzz(func(t *testing.T, dotenv, settings, host string) {
		if strings.ContainsRune(host, 0) {
			return
		}
		conf, all, err := newHouse(t, dotenv, settings).load(nil, "OLLAMA_HOST="+host)
		if _, ok := errors.AsType[Faults](err); err != nil && !ok {
			t.Fatalf("no Faults: %v", err)
		}
		if err == nil && (conf.NumCtx < 1024 || conf.ChunkOverlap >= conf.ChunkSize || len(conf.Addr) == 0 || len(all) != len(All())) {
			t.Fatalf("%+v", conf)
		}
	})
}

func TestWhatKubernetesMakesOfAServiceIsNoSetting(t *testing.T) {
	h := newHouse(t, "", "")
	if _, _, err := h.load(nil, "OLLAMA_RAG_SERVICE_HOST=10.0.0.1", "OLLAMA_RAG_SERVICE_PORT=8000", "OLLAMA_RAG_SERVICE_PORT_HTTP=8000", "OLLAMA_RAG_PORT=tcp://10.0.0.1:8000",
		"OLLAMA_RAG_PORT_8000_TCP=tcp://10.0.0.1:8000", "OLLAMA_RAG_PORT_8000_TCP_PROTO=tcp", "OLLAMA_RAG_PORT_8000_TCP_ADDR=10.0.0.1"); err != nil {
		t.Error(err)
	}
	for _, typo := range []string{"OLLAMA_RAG_PORTS=1", "OLLAMA_RAG_SERVICE=1", "OLLAMA_RAG_PORT_NUMBER=1"} {
		if _, _, err := h.load(nil, typo); err == nil {
			t.Errorf("%s was taken", typo)
		}
	}
}

func TestAFileOfKeysThatCannotBeReadIsSaidWithItsCause(t *testing.T) {
	_, _, err := newHouse(t, "", "").load(nil, "API_KEYS=@/no/such/file-of-keys")
	if err == nil || !strings.Contains(err.Error(), "cannot be read: no such file") || strings.Contains(err.Error(), "file-of-keys") {
		t.Error(err)
	}
}
