# Everything a newcomer or CI runs. Needs only python3, pip, make, a C++ compiler and, for the tests, node with npm.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# A distribution's interpreter is compiled with profile-guided optimisation; version managers often build one without,
# which costs the gateway a tenth of its rate.
PYTHON ?= $(shell /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo /usr/bin/python3 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
TOOLS := .tools
UV := $(TOOLS)/bin/uv
# A find-links directory of the machine's pip also holds for uv, which does not read pip's settings.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export PYTHONDONTWRITEBYTECODE =
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo)
# The tests share one place for engine environments; `make up` uses the state directory's own.
TEST_ENGINES := $(CURDIR)/.potluck/engines
TEST_KINDS ?= llamacpp encoder mlx $(if $(filter Linux,$(shell uname -s)),vllm)
ENGINE_LOCK := $(UV) pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock"
LOCK := $(ENGINE_LOCK) --universal

.PHONY: help up down test check unit golden prepared e2e beside-unit soak bench bench-relay bench-models bench-fit bench-audit bench-routing bench-hostile bench-embeddings bench-answers bench-rag bench-pii bench-cli doctor-faults fmt lock setup dev web check-web programs clean

help:
	@echo "make up      a working one-machine cluster: endpoint, key and an answer"
	@echo "make down    stop it"
	@echo "make test    check, unit tests and end-to-end tests, from a fresh clone"
	@echo "make check   format, lint, types, walls between rooms"
	@echo "make web     the dashboard's page, built from its sources"
	@echo "make bench   every bench;  make soak: long runs;  make fmt: format;  make lock: new lock files"

$(UV): requirements/tools.txt
	python3 -m pip install -q --upgrade --require-hashes --target $(TOOLS) -r requirements/tools.txt
	@touch $(UV)

$(VENV)/.runtime: $(UV) requirements/runtime.txt requirements/packaged.txt pyproject.toml
	@test -x $(BIN)/python || $(UV) venv -q --python $(PYTHON) $(VENV)
	$(UV) pip install -q --python $(BIN)/python --require-hashes --compile-bytecode -r requirements/runtime.txt
	$(UV) pip install -q --python $(BIN)/python --require-hashes --no-deps -r requirements/packaged.txt
	$(UV) pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	$(UV) pip install -q --python $(BIN)/python --require-hashes --compile-bytecode -r requirements/dev.txt
	@touch $@

# Programs that the tests run as people do, each in a place of its own: nothing of theirs is imported here.
CLIENTS := tests/clients/node_modules/.installed $(TOOLS)/clients/.installed

tests/clients/node_modules/.installed: tests/clients/package.json tests/clients/package-lock.json
	cd tests/clients && npm ci --loglevel=error
	@touch $@

$(TOOLS)/clients/.installed: $(UV) requirements/clients.txt
	$(UV) venv -q --clear --python $(PYTHON) $(TOOLS)/clients
	$(UV) pip install -q --python $(TOOLS)/clients/bin/python --require-hashes -r requirements/clients.txt
	@touch $@

# The dashboard's page. What it is built to is committed: a cluster runs without node.
WEB := router/dashboard/web

$(WEB)/node_modules/.installed: $(WEB)/package.json $(WEB)/package-lock.json
	cd $(WEB) && npm ci --loglevel=error
	@touch $@

web: $(WEB)/node_modules/.installed
	cd $(WEB) && npm run --silent check && npm run --silent build

# The distribution's own programs that tests drive; PATH may have another browser of the family. Where they cannot be had,
# those tests are skipped and say so.
PROGRAMS := chromium fonts-dejavu-core prometheus
programs:
	@if command -v apt-get >/dev/null && ! { command -v prometheus && command -v chromium chromium-browser google-chrome; } \
		>/dev/null; then $(AS_ROOT) apt-get update -qq && $(AS_ROOT) apt-get install -qq -y --no-install-recommends \
		$(PROGRAMS) >/dev/null; fi

setup: $(VENV)/.runtime
dev: $(VENV)/.dev

up: setup
	@$(BIN)/potluck up --detach --install --hello

down: setup
	@$(BIN)/potluck down

check: dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	PYTHONPATH=tests $(BIN)/python -m support.built_page
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory check-web; fi

check-web: $(WEB)/node_modules/.installed
	cd $(WEB) && npm run --silent check

# The tests run where every packet that leaves this machine is counted, once everything is installed: none may leave.
COUNTED := PYTHONPATH=tests $(BIN)/python -m support.sealed_run

unit: dev
	$(COUNTED) --without-leaks $(BIN)/pytest -q -n 3 -m "not e2e and not soak"

# What every command prints, written anew; the difference is to be read.
golden: dev
	POTLUCK_GOLDEN=write $(BIN)/pytest -q tests/cli/test_golden.py

# What they run beside potluck itself.
prepared: dev programs $(CLIENTS) $(WEB)/node_modules/.installed
	for kind in $(TEST_KINDS); do POTLUCK_ENGINES_DIR=$(TEST_ENGINES) $(BIN)/potluck engines install $$kind; done
	POTLUCK_ENGINES_DIR=$(TEST_ENGINES) PYTHONPATH=tests $(BIN)/python -m support.ray_default

e2e: prepared
	POTLUCK_ENGINES_DIR=$(TEST_ENGINES) $(COUNTED) $(BIN)/pytest -q -n 2 --dist loadscope -m "e2e and not alone and not soak"
	POTLUCK_ENGINES_DIR=$(TEST_ENGINES) $(COUNTED) --without-leaks $(BIN)/pytest -q -m "e2e and alone and not soak"

# Unit tests wait a good deal. What they leave of the machine goes to the checks and to what end-to-end tests need.
WHOLE_OUTPUTS := $(if $(filter output-sync,$(.FEATURES)),--output-sync=recurse)
test: dev $(WEB)/node_modules/.installed
	$(MAKE) --no-print-directory -j4 $(WHOLE_OUTPUTS) beside-unit unit
	$(MAKE) --no-print-directory e2e

beside-unit:
	nice $(MAKE) --no-print-directory check prepared

soak: dev
	POTLUCK_ENGINES_DIR=$(TEST_ENGINES) $(BIN)/potluck engines install llamacpp
	POTLUCK_ENGINES_DIR=$(TEST_ENGINES) $(BIN)/pytest -q -m soak -s

bench: bench-cli bench-pii bench-relay bench-models bench-embeddings bench-answers bench-hostile bench-audit bench-routing bench-fit

# BENCH=--quick for a smoke run.
bench-relay: setup
	@$(BIN)/python -m bench.relay $(BENCH)

# How much longer than Python alone `--help` takes: half a minute.
bench-cli: setup
	@$(BIN)/python -m bench.cli $(BENCH)

# Paced streams beside clients that break the rules: five minutes.
bench-hostile: setup
	@$(BIN)/python -m bench.hostile $(BENCH)

# The list of models while three of four machines hang: half a minute.
bench-models: setup
	@$(BIN)/python -m bench.models $(BENCH)

# The encoder through its engine and through the gateway, beside its library called directly: half a minute.
bench-embeddings: setup
	@POTLUCK_ENGINES_DIR=$(TEST_ENGINES) $(BIN)/python -m bench.embeddings $(BENCH)

# Answers given again, beside the engine that gave them first: half a minute.
bench-answers: setup
	@POTLUCK_ENGINES_DIR=$(TEST_ENGINES) $(BIN)/python -m bench.answers $(BENCH)

# How well documents are found: BENCH="--xquad DIR" says where xquad.en.json and xquad.es.json lie. Three minutes.
bench-rag: setup
	@POTLUCK_ENGINES_DIR=$(TEST_ENGINES) $(BIN)/python -m bench.rag $(BENCH)

# Personal data that is found in the labelled texts of tests/data/pii, and how fast. No engine is needed.
bench-pii: setup
	@$(BIN)/python -m bench.pii $(BENCH)

# How many records a second reach the disk; BENCH="--dir PATH" says which disk.
bench-audit: setup
	@$(BIN)/python -m bench.audit $(BENCH)

# Some minutes; BENCH="--data DIR" where the traces are, BENCH="--fleet FILE --trace FILE" for cases of one's own.
bench-routing: setup
	@$(BIN)/python -m bench.routing $(BENCH)

# Hours when nothing was measured yet, and it goes on where it was ended: BENCH="--quick" or BENCH="--engines mlx".
bench-fit: setup
	for kind in $(TEST_KINDS); do POTLUCK_ENGINES_DIR=$(TEST_ENGINES) $(BIN)/potluck engines install $$kind; done
	@POTLUCK_ENGINES_DIR=$(TEST_ENGINES) $(BIN)/python -m bench.fit $(BENCH)

# Every fault that the tests inject, and what the doctor says to it.
doctor-faults: dev
	$(BIN)/pytest -q -rP -p no:cacheprovider tests/cli/test_doctor*.py | sed -n 's/^RESULT //p' | sort -u

fmt: dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(UV)
	$(LOCK) requirements/tools.in -o requirements/tools.txt
	$(LOCK) --no-deps requirements/packaged.in -o requirements/packaged.txt
	$(LOCK) requirements/clients.in -o requirements/clients.txt
	cd tests/clients && npm install --package-lock-only --loglevel=error
	cd $(WEB) && npm install --package-lock-only --loglevel=error
	printf 'hatchling>=1.27\n' | $(LOCK) pyproject.toml - --extra one-machine -o requirements/runtime.txt
	$(LOCK) pyproject.toml --extra dev -o requirements/dev.txt
	for lock in nodes/engines/locks/*.in; do \
		env $$(sed -n 's/^# environment: //p' $$lock) $(ENGINE_LOCK) $$(sed -n 's/^# options: //p' $$lock) \
			$$lock -o $${lock%.in}.txt; done

clean:
	rm -rf $(VENV) $(TOOLS) .potluck dist build tests/clients/node_modules $(WEB)/node_modules
