# Bulkhead. `make help` lists the targets; README.md says what they show.
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

ROOT    := $(CURDIR)
BIN     := $(ROOT)/.cache/bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
TESTBED := $(BIN)/testbed

# Tools, pinned; each is built once from its module into .cache/bin. helm's
# version stands in tests/testbed/build.
CONTROLLER_GEN_VERSION := v0.23.0
OPA_VERSION            := v1.22.2
STATICCHECK_VERSION    := v0.8.2

CONTROLLER_GEN := $(BIN)/controller-gen-$(CONTROLLER_GEN_VERSION)
OPA            := $(BIN)/opa-$(OPA_VERSION)
STATICCHECK    := $(BIN)/staticcheck-$(STATICCHECK_VERSION)

# $(1): binary's name, $(2): version, $(3): package
define tool
$(BIN)/$(1)-$(2):
	@echo "building $(1) $(2)"
	@mkdir -p $(BIN) && dir=$$$$(mktemp -d) && GOBIN=$$$$dir go install $(3)@$(2) && mv $$$$dir/$(1) $$@ && rmdir $$$$dir
endef
$(eval $(call tool,controller-gen,$(CONTROLLER_GEN_VERSION),sigs.k8s.io/controller-tools/cmd/controller-gen))
$(eval $(call tool,opa,$(OPA_VERSION),github.com/open-policy-agent/opa))
$(eval $(call tool,staticcheck,$(STATICCHECK_VERSION),honnef.co/go/tools/cmd/staticcheck))

GO_MODULES := . tests/testbed tests/testbed/kubernetes tests/testbed/certmanager tests/testbed/coredns tests/bench/admission/kyverno

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: image build ## a real cluster, five of the thesis' attacks with addressing identity and two again with cidr, without and with Bulkhead (root; 2 min warm)
	@$(TESTBED) demo

.PHONY: test
test: lint test-rego test-go test-e2e ## everything: lint, Go, Rego, chart, network namespaces, real cluster (root for all of it)

.PHONY: test-go
test-go: packages helm ## Go tests with the race detector: units, real iptables, images, chart
	go test -race -timeout 20m ./...

.PHONY: test-rego
test-rego: $(OPA) ## format, strict check, tests and coverage of the rules
	OPA=$(OPA) ./rego/test.sh

.PHONY: test-e2e
test-e2e: image build ## all experiments, attacks, faults and outages on real clusters; results in out/ (root)
	go -C tests/testbed test -timeout 60m -p 1 -v ./...

.PHONY: soak
soak: image build ## addresses that change hands between tenants as fast as they can, 10 min in namespaces, 6 on a cluster (root; 20 min)
	go test ./tests/netns -run 'TestReuseOfAnAddress$$' -timeout 30m -v -args -reuse-for 10m
	@$(TESTBED) play --only address-reuse --reuse-for 6m

.PHONY: build
build: ## the binaries, into out/bin
	@mkdir -p out/bin
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o out/bin/ ./cmd/bulkhead ./cmd/bulkhead-webhook ./cmd/bulkhead-firewall

.PHONY: image
image: packages ## the images, into out/images, without a Docker daemon
	@go run ./cmd/image --version $(VERSION)

.PHONY: up
up: image build ## a cluster with Bulkhead in it to try things in, until Ctrl-C (root)
	@$(TESTBED) up

.PHONY: down
down: testbed ## remove what a crashed demo or test left behind
	@$(TESTBED) down

.PHONY: testbed
testbed:
	@go -C tests/testbed build -o $(BIN)/testbed ./cmd/testbed

.PHONY: packages
packages: testbed
	@if [ "$$(id -u)" = 0 ]; then $(TESTBED) packages; fi

.PHONY: lint
lint: $(STATICCHECK) $(OPA) ## gofmt, go vet, staticcheck, opa fmt and check
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "gofmt: $$unformatted"; exit 1; }
	go vet ./...
	$(STATICCHECK) ./...
	cd tests/testbed && go vet ./... && $(STATICCHECK) ./...
	OPA=$(OPA) ./rego/test.sh lint

.PHONY: generate
generate: $(CONTROLLER_GEN) ## deepcopy, CRD, the chart's schema and README, the rules' pages
	$(CONTROLLER_GEN) object paths=./api/v1alpha1
	$(CONTROLLER_GEN) crd paths=./api/v1alpha1 output:crd:dir=charts/bulkhead/crds
	go run ./charts/generate
	go run ./docs/rules/generate

.PHONY: verify
verify: generate ## fail if generated files or modules are not current
	for module in $(GO_MODULES); do (cd $$module && go mod tidy -diff); done
	git diff --exit-code -- api charts docs/rules

.PHONY: fuzz
fuzz: ## a million generated pods, decided as Kubernetes' own plugin does, control by control (20 min)
	go test ./tests/conformance -run 'TestDifferential$$' -pods 1000000 -timeout 6h -v

.PHONY: bench
bench: bench-dataplane bench-admission bench-feed ## firewall and admission measured against others, the feed at size, and Go benchmarks of all parts
	@mkdir -p out
	go test -run '^$$' -bench . -benchmem -count 5 ./webhook/... ./rego/... ./sidecar/... | tee out/bench.txt

.PHONY: bench-dataplane
bench-dataplane: image ## out/bench-dataplane.json and .svg, in network namespaces (root; 5 min)
	@go run ./tests/bench/dataplane

.PHONY: bench-admission
bench-admission: ## out/bench-admission.json and .svg: reviews beside those of PSA, Gatekeeper and Kyverno, which it builds (15 min)
	@go run ./tests/bench/admission

.PHONY: bench-feed
bench-feed: testbed ## out/bench-feed.json and .svg: the identity feed with 1,000 tenants and 100,000 pods in a real API server (18 min, 10 GiB)
	@$(TESTBED) build
	@go run ./tests/bench/feed

.PHONY: clean
clean: ## remove out/; the cache stays (make distclean removes it)
	rm -rf out

.PHONY: distclean
distclean: clean
	rm -rf .cache

# The test bed builds helm with its own tools; the chart's tests look for it here.
.PHONY: helm
helm: testbed
	@$(TESTBED) build
	@mkdir -p $(BIN) && ln -sf ../testbed/$$(cd .cache/testbed && ls -t helm-* | head -n 1) $(BIN)/helm
