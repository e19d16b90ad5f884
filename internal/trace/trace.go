package trace

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Config says where spans go.
type Config struct {
	Endpoint string            // URL that spans are posted to, such as http://127.0.0.1:4318/v1/traces
	Headers  map[string]string // sent with them
	Service  string            // service.name
	Version  string            // service.version
	Ratio    float64           // share of requests without a traceparent that is traced, 0 to 1; one that comes with it decides itself
	Log      *slog.Logger
}

// Limits of what waits to be sent: beyond them spans are dropped.
const (
	maxWaiting = 4096 // spans
	maxBatch   = 512  // spans
	batchTime  = 2 * time.Second
	sendTime   = 10 * time.Second
)

// Tracer makes spans and sends them.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	headers  propagation.TraceContext
}

// New begins to trace. Nothing is sent before the first span ends.
func New(c Config) *Tracer {
	about := resource.NewWithAttributes(semconv.SchemaURL, semconv.ServiceName(c.Service), semconv.ServiceVersion(c.Version))
	provider := sdk.NewTracerProvider(
		sdk.WithResource(about), sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(c.Ratio))),
		sdk.WithBatcher(newExporter(c), sdk.WithMaxQueueSize(maxWaiting), sdk.WithMaxExportBatchSize(maxBatch), sdk.WithBatchTimeout(batchTime), sdk.WithExportTimeout(sendTime)),
	)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { c.Log.Warn("traces are lost", "error", err) }))
	return &Tracer{provider: provider, tracer: provider.Tracer("github.com/ollama-rag/ollama-rag")}
}

// Close sends what waits, while ctx lasts.
func (t *Tracer) Close(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// Route makes a span of each request of a route, whose pattern is "METHOD /path" or a name. The span's context is the request's, and
// its id is known to the log.
func (t *Tracer) Route(pattern string, next http.Handler) http.Handler {
	method, route, named := strings.Cut(pattern, " ")
	if !named {
		method, route = "", pattern
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := t.headers.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		name := pattern
		if method == "" {
			name = r.Method + " " + route
		}
		ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
			semconv.HTTPRequestMethodKey.String(r.Method), semconv.HTTPRoute(route), semconv.URLPath(r.URL.Path)))
		defer span.End()
		info := rag.RequestOf(ctx)
		if info != nil && span.SpanContext().IsSampled() {
			info.Trace = span.SpanContext().TraceID().String()
			span.SetAttributes(attribute.String("ollama_rag.request_id", info.ID))
		}
		ww := &statusWriter{ResponseWriter: w}
		next.ServeHTTP(ww, r.WithContext(ctx))
		if ww.status != 0 {
			span.SetAttributes(semconv.HTTPResponseStatusCode(ww.status))
		}
		if ww.status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, http.StatusText(ww.status))
		}
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach Flush.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// failed ends a span with an error, if there is one.
func failed(span trace.Span, err error) {
	if err == nil {
		return
	}
	kind := string(rag.KindOf(err))
	if errors.Is(err, context.Canceled) {
		kind = "canceled"
	}
	span.SetAttributes(semconv.ErrorTypeKey.String(kind))
	span.SetStatus(codes.Error, kind)
}

// Transport makes a span of each attempt on a model host, to the end of its answer's body, and passes the trace on to the host.
func (t *Tracer) Transport(next http.RoundTripper) http.RoundTripper { return transport{next, t} }

type transport struct {
	http.RoundTripper
	t *Tracer
}

// CloseIdleConnections passes on.
func (t transport) CloseIdleConnections() {
	if c, ok := t.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip sends one attempt.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !trace.SpanContextFromContext(r.Context()).IsValid() {
		return t.RoundTripper.RoundTrip(r) // of nobody's request: a probe, an ingest
	}
	ctx, span := t.t.tracer.Start(r.Context(), r.Method+" "+r.URL.Path, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		semconv.HTTPRequestMethodKey.String(r.Method), semconv.ServerAddress(r.URL.Hostname()), semconv.URLFull(shown(r.URL))))
	if call, ok := rag.CallOf(ctx); ok && call.Model != "" {
		span.SetAttributes(semconv.GenAIRequestModel(call.Model), attribute.String("ollama_rag.class", call.Class.String()))
	}
	r = r.Clone(ctx)
	t.t.headers.Inject(ctx, propagation.HeaderCarrier(r.Header))
	resp, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		failed(span, err)
		span.End()
		return nil, err
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(resp.StatusCode))
	if resp.StatusCode >= http.StatusBadRequest {
		span.SetStatus(codes.Error, resp.Status)
	}
	span.AddEvent("header")
	resp.Body = &spanBody{resp.Body, span}
	return resp, nil
}

// shown is a URL without what may be secret.
func shown(u *url.URL) string {
	plain := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return plain.String()
}

type spanBody struct {
	body interface {
		Read([]byte) (int, error)
		Close() error
	}
	span trace.Span
}

func (b *spanBody) Read(p []byte) (int, error) { return b.body.Read(p) }

func (b *spanBody) Close() error {
	b.span.End()
	return b.body.Close()
}
