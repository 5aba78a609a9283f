PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two test processes; more of them want more cores than the machines that we test on have.
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint check format docs lock bench

help: ## Print this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## Make the virtual environment with everything in it

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Callsheet needs Python 3.11 or newer; set PYTHON=…")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (a minute or two the first time) …"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## Make a film: a plan of dependent jobs on real media, without keys, GPU or network
	@$(BIN)/callsheet demo --out demo-output

test: setup ## Run every test
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

lint: setup ## Check format, style, types and import contracts
	@$(BIN)/ruff format --check src tests bench docs
	@$(BIN)/ruff check src tests bench docs
	@$(BIN)/mypy
	@$(BIN)/lint-imports

check: lint test ## Everything that must hold before a change lands

format: setup ## Format the code and mend what can be mended
	@$(BIN)/ruff format src tests bench docs
	@$(BIN)/ruff check --fix src tests bench docs

lock: setup ## Resolve the dependencies anew
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock

docs: setup ## Write the generated parts of the documentation anew
	@$(BIN)/python docs/generate.py

bench: setup bench/.venv/.ready bench/peers/bullmq/node_modules/.ready ## Measure speed beside named peers; prints a table, writes bench/results
	@$(BIN)/python -m bench $(BENCH)

bench/.venv/.ready: bench/requirements.lock
	@test -x bench/.venv/bin/python || $(PYTHON) -m venv bench/.venv
	@bench/.venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r $<
	@touch $@

bench/peers/bullmq/node_modules/.ready: bench/peers/bullmq/package-lock.json
	@if command -v npm >/dev/null; then cd bench/peers/bullmq && npm install --no-save --silent --no-audit --no-fund; fi
	@mkdir -p $(@D) && touch $@
