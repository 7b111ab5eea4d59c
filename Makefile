# Every target makes its own .venv from requirements-dev.lock; Python 3.11–3.13 and make are all it takes.
# Another Python: make test PYTHON=/path/to/python3.12

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
EXPORT := $(BIN)/uv export --quiet --frozen --no-emit-project --no-header --no-annotate --format requirements-txt

.DEFAULT_GOAL := help
.PHONY: help venv demo run test lint clients bench chaos contracts migration extract lock

help: ## say what each target does
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

venv: $(READY) ## the environment alone, as every target makes it; then: . .venv/bin/activate

demo: $(READY) ## a year of purchases in, a campaign out by SMTP, and a report that must agree (LIMIT=5000 for less, ARGS=--no-serve to end at once)
	$(BIN)/python -m demo $(if $(LIMIT),--limit $(LIMIT)) $(ARGS)

run: $(READY) ## serve on http://127.0.0.1:8000, printing a first tenant's keys once
	$(BIN)/python -m martech serve

test: $(READY) ## every test, on SQLite and on a PostgreSQL and Redis that it starts itself (ARGS="-k merge" for some)
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(ARGS)

lint: $(READY) ## style, types and the architecture's sentences
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

clients: $(READY) ## real foreign clients (Node, Chromium, command-line tools) against a running platform
	$(BIN)/python -m pytest clients $(ARGS)

bench: $(READY) ## questions with numbers, each beside its limit, on this machine
	$(BIN)/python -m benchmarks $(ARGS)

chaos: $(READY) ## the guarantees at full size: kills, lost brokers, stale leases (long)
	$(BIN)/python -m pytest tests/chaos tests/kernel/feeds tests/kernel/test_move_data.py tests/kernel/test_extract.py --full --timeout=3600 \
		--numprocesses auto --dist worksteal $(ARGS)
	$(BIN)/python -m demo.kills $(if $(SEED),--seed $(SEED))

contracts: $(READY) ## write contracts/<module>/ anew: what we promise, as a diff to review (AGAINST=HEAD to ask whether we keep it)
	$(BIN)/python -m martech contracts $(if $(AGAINST),check --against "$(AGAINST)")

migration: $(READY) ## a new migration from a module's tables (MODULE=profiles MESSAGE="add a column")
	$(BIN)/python -m martech migration "$(MODULE)" "$(MESSAGE)"
	$(BIN)/ruff format --quiet migrations

extract: $(READY) ## a repository of its own for one module (MODULE=personalization FOLDER=../personalization)
	$(BIN)/python -m martech extract "$(MODULE)" "$(FOLDER)"

lock: $(READY) ## pin every dependency anew, by hash and without any host, into requirements*.lock
	$(BIN)/uv lock --quiet --upgrade
	$(EXPORT) --output-file requirements.lock
	$(EXPORT) --extra dev --output-file requirements-dev.lock

$(READY): requirements-dev.lock
	@test -n "$(PYTHON)" || { echo "martech needs Python 3.11, 3.12 or 3.13: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "making $(VENV) with $(PYTHON) from requirements-dev.lock (once, about a minute)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
