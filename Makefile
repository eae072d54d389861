# Every target works on a bare clone: it makes .venv, gets uv into it if the machine has none, and syncs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
UV := $(shell command -v uv 2>/dev/null || echo $(VENV)/bin/uv)
RUN := $(VENV)/bin
WORKERS ?= 2
SECONDS_EACH ?= 60

.PHONY: help sync demo up test soak fuzz lint bench format schemas reference clean

help: ## What can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  \1\t\2/' | expand -t 12

$(VENV)/.synced: pyproject.toml sdk/pyproject.toml uv.lock
	@command -v uv >/dev/null || [ -x $(VENV)/bin/uv ] || (python3 -m venv $(VENV) && $(VENV)/bin/pip install --quiet uv)
	@$(UV) sync --quiet --all-groups --inexact --frozen
	@touch $@

sync: $(VENV)/.synced ## Make the environment

demo: sync ## See an agent caught and stopped
	@$(RUN)/lictor demo

up: sync ## Run Lictor until Ctrl-C
	@$(RUN)/lictor up

test: sync ## All tests but the soak, in parallel
	@$(RUN)/pytest -n $(WORKERS) -m "not soak"

soak: sync ## Every Must-show in its full size; results go to benchmarks/results/
	@$(RUN)/pytest -m soak -s

fuzz: sync ## Fuzz with Atheris, SECONDS_EACH (60) for each target; what breaks one is kept in tests/fuzz/corpus/
	@$(RUN)/python -m tests.fuzz --seconds $(SECONDS_EACH)

lint: sync ## ruff, mypy --strict, import-linter
	@$(RUN)/ruff format --check --quiet .
	@$(RUN)/ruff check --quiet .
	@$(RUN)/mypy
	@$(RUN)/lint-imports --no-logo

bench: sync ## The benchmarks; results go to benchmarks/results/
	@$(RUN)/lictor bench all

format: sync ## Format the code
	@$(RUN)/ruff format --quiet .
	@$(RUN)/ruff check --fix --quiet .

schemas: sync ## Export the JSON Schemas of all messages
	@$(RUN)/python -m schemas.export

reference: sync ## Write the reference pages in docs/reference/ from the code
	@$(RUN)/python -m lictor.reference

clean: ## Remove what can be made again
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
