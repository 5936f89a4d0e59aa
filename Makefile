# Bulkhead. `make help` lists the targets; README.md says what they show.
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

ROOT    := $(CURDIR)
BIN     := $(ROOT)/.cache/bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)

# Tools, pinned. Each is built once from its module into .cache/bin.
CONTROLLER_GEN_VERSION := v0.23.0
OPA_VERSION            := v1.22.2
HELM_VERSION           := v4.3.1
STATICCHECK_VERSION    := v0.7.0
BENCHSTAT_VERSION      := latest

CONTROLLER_GEN := $(BIN)/controller-gen-$(CONTROLLER_GEN_VERSION)
OPA            := $(BIN)/opa-$(OPA_VERSION)
STATICCHECK    := $(BIN)/staticcheck-$(STATICCHECK_VERSION)

# $(1): binary's name, $(2): version, $(3): package
define tool
$(BIN)/$(1)-$(2):
	@echo "building $(1) $(2)"
	@dir=$$$$(mktemp -d) && GOBIN=$$$$dir go install $(3)@$(2) && mkdir -p $(BIN) && mv $$$$dir/$(1) $$@ && rmdir $$$$dir
endef
$(eval $(call tool,controller-gen,$(CONTROLLER_GEN_VERSION),sigs.k8s.io/controller-tools/cmd/controller-gen))
$(eval $(call tool,opa,$(OPA_VERSION),github.com/open-policy-agent/opa))
$(eval $(call tool,staticcheck,$(STATICCHECK_VERSION),honnef.co/go/tools/cmd/staticcheck))

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
