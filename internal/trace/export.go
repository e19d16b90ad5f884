package trace

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// exporter posts spans as OTLP over HTTP with a binary body. OpenTelemetry's own exporter brings gRPC with it, 7 MB of the binary.
type exporter struct {
	endpoint string
	headers  map[string]string
	client   *http.Client
}

func newExporter(c Config) *exporter {
	return &exporter{endpoint: c.Endpoint, headers: c.Headers, client: &http.Client{Timeout: sendTime}}
}

// Shutdown has nothing to end.
func (e *exporter) Shutdown(context.Context) error { return nil }

// retryAfter is the wait before spans that a busy receiver refused are sent once more.
const retryAfter = time.Second

// ExportSpans sends spans, once more if the receiver is busy.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	// A request of the protocol has the same encoding as TracesData: one field, the same number.
	data, err := proto.Marshal(&otlp.TracesData{ResourceSpans: encode(spans)})
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write(data) // to memory: cannot fail
	_ = w.Close()
	busy, err := e.post(ctx, packed.Bytes())
	if !busy {
		return err
	}
	select {
	case <-time.After(retryAfter):
	case <-ctx.Done():
		return err
	}
	_, err = e.post(ctx, packed.Bytes())
	return err
}

func (e *exporter) post(ctx context.Context, body []byte) (busy bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.endpoint, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Content-Encoding", "gzip")
	for name, value := range e.headers {
		req.Header.Set(name, value)
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is used again
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout: // those that OTLP has sent again
		busy = true
	}
	if resp.StatusCode/100 != 2 {
		return busy, fmt.Errorf("the receiver of traces answered %s", resp.Status)
	}
	return false, nil
}

func encode(spans []sdk.ReadOnlySpan) []*otlp.ResourceSpans {
	if len(spans) == 0 {
		return nil
	}
	scopes := map[instrumentation.Scope]*otlp.ScopeSpans{}
	about := spans[0].Resource() // all are of one provider
	out := &otlp.ResourceSpans{Resource: &resource.Resource{Attributes: pairs(about.Attributes())}, SchemaUrl: about.SchemaURL()}
	for _, s := range spans {
		scope := scopes[s.InstrumentationScope()]
		if scope == nil {
			scope = &otlp.ScopeSpans{Scope: &common.InstrumentationScope{Name: s.InstrumentationScope().Name}}
			scopes[s.InstrumentationScope()] = scope
			out.ScopeSpans = append(out.ScopeSpans, scope)
		}
		scope.Spans = append(scope.Spans, span(s))
	}
	return []*otlp.ResourceSpans{out}
}

func span(s sdk.ReadOnlySpan) *otlp.Span {
	ctx, parent := s.SpanContext(), s.Parent()
	traceID, id := ctx.TraceID(), ctx.SpanID()
	out := &otlp.Span{
		TraceId: traceID[:], SpanId: id[:], TraceState: ctx.TraceState().String(), Flags: uint32(ctx.TraceFlags()), Name: s.Name(), Kind: kinds[s.SpanKind()],
		StartTimeUnixNano: nanos(s.StartTime()), EndTimeUnixNano: nanos(s.EndTime()), Attributes: pairs(s.Attributes()),
		DroppedAttributesCount: uint32(s.DroppedAttributes()), DroppedEventsCount: uint32(s.DroppedEvents()), Status: status(s.Status()),
	}
	if parent.SpanID().IsValid() {
		p := parent.SpanID()
		out.ParentSpanId = p[:]
	}
	for _, ev := range s.Events() {
		out.Events = append(out.Events, &otlp.Span_Event{Name: ev.Name, TimeUnixNano: nanos(ev.Time), Attributes: pairs(ev.Attributes)})
	}
	return out
}

var kinds = map[trace.SpanKind]otlp.Span_SpanKind{
	trace.SpanKindInternal: otlp.Span_SPAN_KIND_INTERNAL, trace.SpanKindServer: otlp.Span_SPAN_KIND_SERVER, trace.SpanKindClient: otlp.Span_SPAN_KIND_CLIENT,
}

func status(s sdk.Status) *otlp.Status {
	switch s.Code {
	case codes.Error:
		return &otlp.Status{Code: otlp.Status_STATUS_CODE_ERROR, Message: s.Description}
	case codes.Ok:
		return &otlp.Status{Code: otlp.Status_STATUS_CODE_OK}
	}
	return nil
}

func nanos(t time.Time) uint64 { return uint64(max(t.UnixNano(), 0)) }

func pairs(list []attribute.KeyValue) []*common.KeyValue {
	out := make([]*common.KeyValue, len(list))
	for i, kv := range list {
		out[i] = &common.KeyValue{Key: string(kv.Key), Value: value(kv.Value)}
	}
	return out
}

func value(v attribute.Value) *common.AnyValue {
	switch v.Type() {
	case attribute.BOOL:
		return &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: v.AsBool()}}
	case attribute.INT64:
		return &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: v.AsInt64()}}
	case attribute.FLOAT64:
		return &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: v.AsFloat64()}}
	case attribute.STRINGSLICE:
		list := &common.ArrayValue{}
		for _, s := range v.AsStringSlice() {
			list.Values = append(list.Values, text(s))
		}
		return &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: list}}
	}
	return text(v.String())
}

func text(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
}
