package config

import (
	"log/slog"
	"time"
)

// Config holds every setting. Durations are written in seconds, as numbers, or with a unit ("90s", "5m").
type Config struct {
	Addr           string
	AddrFile       string
	DataDir        string
	Docs           []string
	Insecure       bool
	APIKeys        []string
	CORSOrigins    []string
	MaxBody        int64
	MaxUpload      int64
	MaxUploadTotal int64
	IngestRoots    []string
	MaxFiles       int
	GatewayMaxBody int64
	GatewayTexts   int
	GatewayAdmin   bool
	GatewayUnknown bool
	DBName         string
	LogLevel       slog.Level
	LogFormat      string
	LogQuestions   bool
	TraceEndpoint  string
	TraceHeaders   []string
	TraceService   string
	TraceRatio     float64
	DebugAddr      string
	MetricsNative  bool
	Metrics        bool
	DrainTimeout   time.Duration

	Provider   string
	BaseURLs   []string
	LLMModel   string
	EmbedModel string
	NumCtx     int
	NumThread  int
	NumGPU     int
	MaxTokens  int

	OpenAIBaseURL        string
	OpenAIKey            []string
	OpenAIModel          string
	OpenAIConnectTimeout time.Duration
	OpenAIReadTimeout    time.Duration
	OpenAIMaxRetries     int
	OpenAIRetryBackoff   time.Duration

	EmbedTimeout      time.Duration
	ConnectTimeout    time.Duration
	ReadTimeout       time.Duration
	FirstTokenTimeout time.Duration
	TotalTimeout      time.Duration
	QueueSize         int
	QueueTimeout      time.Duration
	MaxConcurrency    int
	HedgeAfter        time.Duration
	MaxRetries        int
	RetryBackoff      time.Duration
	PoolConnections   int
	PoolMaxSize       int
	PoolBlock         bool

	BreakerEnabled          bool
	BreakerFailureThreshold int
	BreakerTimeout          time.Duration
	BreakerMaxTimeout       time.Duration
	BreakerSuccessThreshold int
	BreakerHalfOpenMaxCalls int
	BreakerWindowSize       int
	BreakerMinCalls         int
	BreakerFailureRatio     float64
	BreakerSlowCall         time.Duration

	ChunkSize    int
	ChunkOverlap int
	RRF          bool
	RRFK         float64

	CacheEnabled   bool
	CacheThreshold float64
	CacheSize      int
	CacheBytes     int64
	CacheTTL       time.Duration
	CacheSampled   bool

	CallsEnabled  bool
	CallsTTL      time.Duration
	CallsSize     int
	CallsBytes    int64
	GatewayCache  []string
	CacheStale    time.Duration
	CacheShadow   float64
	CacheMaxError float64
}

// settings lists every setting once.
func (c *Config) settings() []*Setting {
	return []*Setting{
		text(&c.Addr, "OLLAMA_RAG_ADDR", "addr", "127.0.0.1:8000", "address to listen on; port 0 picks a free one", address),
		text(&c.AddrFile, "OLLAMA_RAG_ADDR_FILE", "addr-file", "", "file to write the address to that serves", nil),
		text(&c.DataDir, "OLLAMA_RAG_DATA_DIR", "data-dir", DefaultDataDir(), "folder that keeps everything", notEmpty),
		list(&c.Docs, "OLLAMA_RAG_DOCS", "docs", "", "folders or files to ingest at the start", nil),
		flag(&c.Insecure, "OLLAMA_RAG_INSECURE", "insecure", false, "listen beyond loopback without API keys"),
		secrets(&c.APIKeys, "API_KEYS", "keys as ROLE:KEY, comma-separated, or @FILE with one a line; roles: read, write, admin", apiKey),
		list(&c.CORSOrigins, "CORS_ORIGINS", "", "http://localhost:8000,http://127.0.0.1:8000", "web origins that may call the API", origin),
		bytes(&c.MaxBody, "MAX_BODY_BYTES", 10<<20, "largest request body that is no upload", 1<<10),
		bytes(&c.MaxUpload, "MAX_UPLOAD_BYTES", 50<<20, "largest file that is ingested", 1<<10),
		bytes(&c.MaxUploadTotal, "MAX_UPLOAD_TOTAL_BYTES", 2<<30, "largest upload, all its files together", 1<<10),
		list(&c.IngestRoots, "INGEST_ROOTS", "", "", "folders that POST /api/ingest may read; unset: working, home and temporary folder while no keys are set, else none", nil),
		number(&c.MaxFiles, "INGEST_MAX_FILES", 100_000, "most files of one ingest job", 1, 10_000_000),
		bytes(&c.GatewayMaxBody, "GATEWAY_MAX_BODY_BYTES", 64<<20, "largest request body on the routes of Ollama's and OpenAI's API", 1<<16),
		number(&c.GatewayTexts, "GATEWAY_MAX_TEXTS", 2048, "most texts of one request that the embedder in the binary answers", 1, 1_000_000),
		flag(&c.GatewayAdmin, "GATEWAY_ADMIN", "", false, "pass on the routes of Ollama's API that change the model server: pull, push, create, copy, delete, blobs"),
		flag(&c.GatewayUnknown, "GATEWAY_UNKNOWN", "", false, "pass on paths under /api/ and /v1/ that nobody knows"),
		text(&c.DBName, "DB_NAME", "", "default", "knowledge base of requests that name none", dbName),
		level(&c.LogLevel, "LOG_LEVEL", "info", "least level of log lines: debug, info, warn, error"),
		choice(&c.LogFormat, "LOG_FORMAT", "text", "form of log lines", "text", "json"),
		flag(&c.LogQuestions, "LOG_QUESTIONS", "", false, "write what was asked into the log"),
		text(&c.TraceEndpoint, "OTEL_EXPORTER_OTLP_ENDPOINT", "", "", "receiver of traces (OTLP over HTTP), such as http://127.0.0.1:4318; unset: none are made", traceEndpoint),
		secrets(&c.TraceHeaders, "OTEL_EXPORTER_OTLP_HEADERS", "headers sent with traces, NAME=VALUE, comma-separated, or @FILE", traceHeader),
		text(&c.TraceService, "OTEL_SERVICE_NAME", "", "ollama-rag", "name of this service in traces", notEmpty),
		real(&c.TraceRatio, "OTEL_TRACES_SAMPLER_ARG", 1, "share of requests that are traced; one that comes with a traceparent decides by it", 0, 1),
		text(&c.DebugAddr, "DEBUG_ADDR", "", "", "loopback address of profiles (pprof) and of what only an operator does, such as 127.0.0.1:6060; unset: none", debugAddr),
		flag(&c.Metrics, "METRICS_ENABLED", "", true, "Prometheus metrics on /metrics"),
		flag(&c.MetricsNative, "METRICS_NATIVE_HISTOGRAMS", "", false, "native histograms beside the classic ones; Prometheus before 3.0 with native histograms on then drops the classic ones, which dashboard and rules read"),
		seconds(&c.DrainTimeout, "OLLAMA_RAG_DRAIN_TIMEOUT", 20*time.Second, "how long running requests may end after SIGTERM", 0, time.Hour),

		choice(&c.Provider, "PROVIDER", "ollama", "kind of model server that answers questions which name none: ollama, openai", "ollama", "openai"),
		list(&c.BaseURLs, "OLLAMA_BASE_URL", "", "http://localhost:11434", "Ollama hosts, comma-separated; unset: OLLAMA_HOST, else the default", baseURL),
		text(&c.LLMModel, "LLM_MODEL", "", "", "chat model; unset: llama3.1:8b where present, else the one that is loaded, else the newest", nil),
		text(&c.EmbedModel, "EMBED_MODEL", "", "builtin", "embedder of new knowledge bases: builtin is the one inside this program, file:PATH a packed model, any other name a model on Ollama", embedModel),
		number(&c.NumCtx, "OLLAMA_NUM_CTX", 4096, "context window that is asked for, in tokens", 1024, 1<<20),
		number(&c.NumThread, "OLLAMA_NUM_THREAD", 0, "threads of a model call; 0 leaves it to Ollama", 0, 1024),
		number(&c.NumGPU, "OLLAMA_NUM_GPU", -1, "layers on the GPU; -1 leaves it to Ollama", -1, 1024),
		number(&c.MaxTokens, "ANSWER_MAX_TOKENS", 768, "longest answer, in tokens", 16, 1<<17),

		text(&c.OpenAIBaseURL, "OPENAI_BASE_URL", "", DefaultOpenAIBaseURL, "OpenAI-compatible server; ends in /v1", openAIBaseURL),
		secrets(&c.OpenAIKey, "OPENAI_API_KEY", "its key, or @FILE; with it, or with another OPENAI_BASE_URL, questions may name the provider openai", nil),
		text(&c.OpenAIModel, "OPENAI_MODEL", "", "gpt-4o-mini", "its model for questions that name none", notEmpty),
		seconds(&c.OpenAIConnectTimeout, "OPENAI_CONNECT_TIMEOUT", 5*time.Second, "longest wait for a connection", time.Millisecond, time.Hour),
		seconds(&c.OpenAIReadTimeout, "OPENAI_READ_TIMEOUT", 180*time.Second, "longest silence, before an answer and within it", time.Millisecond, 24*time.Hour),
		number(&c.OpenAIMaxRetries, "OPENAI_MAX_RETRIES", 3, "tries after the first one", 0, 10),
		seconds(&c.OpenAIRetryBackoff, "OPENAI_RETRY_BACKOFF", 600*time.Millisecond, "wait before the first retry; it doubles", 0, time.Minute),

		seconds(&c.EmbedTimeout, "OLLAMA_EMBED_TIMEOUT", 30*time.Second, "longest a question waits for its vector before words alone serve it", time.Millisecond, time.Hour),
		seconds(&c.ConnectTimeout, "OLLAMA_CONNECT_TIMEOUT", 5*time.Second, "longest wait for a connection", time.Millisecond, time.Hour),
		seconds(&c.ReadTimeout, "OLLAMA_READ_TIMEOUT", 180*time.Second, "longest silence within an answer", time.Millisecond, 24*time.Hour),
		seconds(&c.FirstTokenTimeout, "OLLAMA_FIRST_TOKEN_TIMEOUT", 900*time.Second, "longest wait for the first byte, loading of the model included", time.Millisecond, 24*time.Hour),
		seconds(&c.TotalTimeout, "OLLAMA_TOTAL_TIMEOUT", time.Hour, "longest whole answer; 0 is no limit", 0, 24*time.Hour),
		number(&c.QueueSize, "OLLAMA_QUEUE_SIZE", 256, "calls that may wait for a model on a host", 0, 1_000_000),
		seconds(&c.QueueTimeout, "OLLAMA_QUEUE_TIMEOUT", 900*time.Second, "longest a call waits there", time.Millisecond, 24*time.Hour),
		number(&c.MaxConcurrency, "OLLAMA_MAX_CONCURRENCY", 64, "most calls at once of a model on a host; how many are of use is found out", 1, 10_000),
		seconds(&c.HedgeAfter, "OLLAMA_HEDGE_AFTER", 0, "with several hosts: ask a second one that holds the model if none has answered by then; 0 is never", 0, time.Hour),
		number(&c.MaxRetries, "OLLAMA_MAX_RETRIES", 3, "tries after the first one", 0, 10),
		seconds(&c.RetryBackoff, "OLLAMA_RETRY_BACKOFF", 600*time.Millisecond, "wait before the first retry; it doubles", 0, time.Minute),
		number(&c.PoolConnections, "OLLAMA_POOL_CONNECTIONS", 10, "hosts that idle connections are kept for", 1, 10_000),
		number(&c.PoolMaxSize, "OLLAMA_POOL_MAXSIZE", 20, "idle connections kept a host", 1, 10_000),
		flag(&c.PoolBlock, "OLLAMA_POOL_BLOCK", "", false, "never more connections than OLLAMA_POOL_MAXSIZE a host: wait for a free one"),

		flag(&c.BreakerEnabled, "CIRCUIT_BREAKER_ENABLED", "", true, "stop asking a host that keeps failing"),
		number(&c.BreakerFailureThreshold, "CIRCUIT_BREAKER_FAILURE_THRESHOLD", 5, "failures in a row that open it", 1, 10_000),
		seconds(&c.BreakerTimeout, "CIRCUIT_BREAKER_TIMEOUT", 30*time.Second, "how long it stays open the first time", time.Millisecond, 24*time.Hour),
		seconds(&c.BreakerMaxTimeout, "CIRCUIT_BREAKER_MAX_TIMEOUT", 300*time.Second, "longest open time; each reopening doubles it up to here", time.Millisecond, 24*time.Hour),
		number(&c.BreakerSuccessThreshold, "CIRCUIT_BREAKER_SUCCESS_THRESHOLD", 2, "successes in a row that close it", 1, 10_000),
		number(&c.BreakerHalfOpenMaxCalls, "CIRCUIT_BREAKER_HALF_OPEN_MAX_CALLS", 3, "probes in flight while half open", 1, 10_000),
		number(&c.BreakerWindowSize, "CIRCUIT_BREAKER_WINDOW_SIZE", 10, "calls that the failure ratio is taken over", 1, 100_000),
		number(&c.BreakerMinCalls, "CIRCUIT_BREAKER_MIN_CALLS", 10, "calls in the window before the ratio counts; at most the window", 1, 100_000),
		fraction(&c.BreakerFailureRatio, "CIRCUIT_BREAKER_FAILURE_RATIO", 0.5, "share of failures in the window that opens it"),
		seconds(&c.BreakerSlowCall, "CIRCUIT_BREAKER_SLOW_CALL_SECONDS", 0, "a first token later than this counts as a failure; 0 is off", 0, 24*time.Hour),

		number(&c.ChunkSize, "CHUNK_SIZE", 800, "longest passage, in characters", 50, 20_000),
		number(&c.ChunkOverlap, "CHUNK_OVERLAP", 120, "characters that neighbouring passages may share; below CHUNK_SIZE", 0, 10_000),
		flag(&c.RRF, "RRF_ENABLE", "", false, "fuse by reciprocal ranks unless a request says otherwise"),
		real(&c.RRFK, "RRF_K", 60, "constant of reciprocal rank fusion", 1e-9, 10_000),

		flag(&c.CacheEnabled, "USE_SEMANTIC_CACHE", "", true, "remember answers"),
		fraction(&c.CacheThreshold, "SEMANTIC_CACHE_THRESHOLD", 0.95, "least similarity of a question that is answered from memory"),
		number(&c.CacheSize, "SEMANTIC_CACHE_SIZE", 1000, "answers kept", 1, 10_000_000),
		bytes(&c.CacheBytes, "SEMANTIC_CACHE_BYTES", 256<<20, "memory that kept answers may take", 1<<20),
		seconds(&c.CacheTTL, "SEMANTIC_CACHE_TTL", 3600*time.Second, "how long an answer is kept", time.Millisecond, 365*24*time.Hour),
		flag(&c.CacheSampled, "SEMANTIC_CACHE_SAMPLED", "", false, "keep what models say by chance too (a temperature other than 0 and no seed), in every cache"),
		flag(&c.CallsEnabled, "GEN_CACHE_ENABLE", "", true, "remember what a model said to the very same prompt"),
		seconds(&c.CallsTTL, "GEN_CACHE_TTL", 24*time.Hour, "how long that is kept; 0 is no limit", 0, 10*365*24*time.Hour),
		number(&c.CallsSize, "GEN_CACHE_SIZE", 10_000, "most of these answers", 1, 10_000_000),
		bytes(&c.CallsBytes, "GEN_CACHE_BYTES", 64<<20, "most memory of these answers", 1<<16),
		list(&c.GatewayCache, "GATEWAY_CACHE", "", "", "routes of Ollama's and OpenAI's API whose answers are kept there too: all, or any of /api/chat, /api/generate, /v1/chat/completions, /v1/completions", cachedRoute),
		seconds(&c.CacheStale, "SEMANTIC_CACHE_STALE_IF_ERROR", 0, "how much older an answer may be, or behind its documents, that is served, marked stale, while no model answers; 0 is never", 0, 365*24*time.Hour),
		real(&c.CacheShadow, "SEMANTIC_CACHE_SHADOW_RATE", 0.02, "share of answers to near questions that are made again to see whether they were right; 0 switches the error contract off", 0, 1),
		real(&c.CacheMaxError, "SEMANTIC_CACHE_MAX_ERROR", 0.02, "largest share of answers to near questions that may differ from the model's, at 95 %; past it fewer are served, or none", 1e-6, 1),
	}
}
