# Tollgate. `make help` lists what there is to make.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed

PORT       ?= 8080
TLS_PORT   ?= 8443
DEMO_PORT  ?= 9100
ADMIN_PORT ?= 8090
DATA       ?= .data

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Tollgate needs Python 3.11 or newer: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

install: $(READY) ## Make .venv with everything in it

up: $(READY) ## Run Redis, sidecar, Envoy and a demo vendor: PORT=8080 TLS_PORT=8443 DEMO_PORT=9100 ADMIN_PORT=8090 DATA=.data
	@exec $(BIN)/tollgate up --config config --data $(DATA) --port $(PORT) --tls-port $(TLS_PORT) --demo-port $(DEMO_PORT) --admin-port $(ADMIN_PORT)

test: $(READY) ## Run the tests
	$(BIN)/python -m pytest

lint: $(READY) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

proto: $(READY) ## Generate extproc/wire/pb from proto/
	PYTHON=$(BIN)/python sh proto/generate.sh

golden: $(READY) ## Write what is made from the code anew: clusters, JSON Schema, tables in docs/
	TOLLGATE_REWRITE_GOLDEN=1 $(BIN)/python -m pytest tests/compiler tests/config/test_reference.py tests/deploy

bench: $(READY) ## Measure the gateway against Envoy alone (needs wrk)
	$(BIN)/python -m tests.bench

bench-peers: $(READY) ## Measure the gateway beside LiteLLM, Portkey and Envoy alone (some 12 minutes; needs wrk)
	$(BIN)/python -m tests.bench.peers

faults: $(READY) ## Kill every part at every point of 500 requests, and compare the books (some 5 minutes)
	$(BIN)/python -m tests.faults

.PHONY: help install up test lint proto golden bench bench-peers faults
