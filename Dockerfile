# A small image without root, shell or package manager: the program, certificates and nothing else.
#   docker build -t ollama-rag .
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG REVISION=image
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.releaseVersion=${REVISION}" -o /out/ollama-rag ./cmd/ollama-rag \
 && mkdir -p /out/data /out/tmp

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ollama-rag /ollama-rag
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build --chown=65532:65532 /out/tmp /tmp
USER 65532:65532
# It listens beyond its own loopback, so API_KEYS must be set (or OLLAMA_RAG_INSECURE=true).
ENV OLLAMA_RAG_ADDR=0.0.0.0:8000 OLLAMA_RAG_DATA_DIR=/data LOG_FORMAT=json
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=6s --start-period=20s CMD ["/ollama-rag", "ready"]
ENTRYPOINT ["/ollama-rag"]
CMD ["serve"]
