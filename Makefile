# Everything a person or CI says to this project. `make` lists the words.
PYTHON ?= python3
# Told to pytest by `make test`, to the driver by `make soak`: make test ARGS="tests/core -x"
ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check bench soak format lock

help:
	@echo 'make WORD, where WORD is one of'
	@sed -n 's/^\([a-z]*\):.*## /  \1|/p' Makefile | awk -F'|' '{ printf "%-10s %s\n", $$1, $$2 }'

demo: .venv/.runs ## show the relay at work: recorded trouble, and the channel it becomes, in a browser
	.venv/bin/relay demo

test: .venv/.works ## run every test on real things (PostgreSQL, Alertmanager, Prometheus, Chromium, buildah); a skip is a failure
	@tests/get-what-tests-need
	.venv/bin/pytest $(ARGS)

check: .venv/.works ## read what is committed: style, types, imports, manifests, workflows, secrets, and whether what is generated is fresh
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo
	.venv/bin/python -m relay.config.schema | cmp - docs/relay.schema.json
	.venv/bin/python -m relay.config.schema --docs | cmp - docs/configuration.md
	.venv/bin/relay trees facts | cmp - docs/facts.md
	.venv/bin/relay trees handbook --to docs/trees --check
	.venv/bin/relay check --without-secrets --config docs/relay.yaml
	.venv/bin/yamllint --strict .
	.venv/bin/shellcheck .ci/run requirements/lock tests/get-what-tests-need
	.venv/bin/hadolint Dockerfile
	.venv/bin/actionlint -shellcheck .venv/bin/shellcheck
	.venv/bin/zizmor --quiet --offline --persona pedantic .github
	.venv/bin/pytest --quiet tests/repository

bench: .venv/.works ## measure what docs/ claims: events a second, memory, start
	.venv/bin/python -m tests.bench

soak: .venv/.works ## kill the relay again and again under load and faults: nothing lost, at most one message twice for a kill (ARGS="--seed 7 --kills 50 --postgres")
	@.venv/bin/python -m tests.soak $(ARGS)

format: .venv/.works ## put the code into its form
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

lock: ## choose versions again where pyproject.toml asks for it (UPGRADE=1: everywhere), with their hashes
	PYTHON=$(PYTHON) requirements/lock

# The virtual environment is what the locks say, in two steps: what runs the relay, and what works on it.
PIP := .venv/bin/pip --disable-pip-version-check --no-input --quiet

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo 'The relay needs Python 3.11 or newer, as python3 or by name: make PYTHON=python3.12 …' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	|| { echo 'This Python makes no virtual environments yet. On Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@$(PYTHON) -m venv .venv

.venv/.runs: requirements/build.txt requirements/runtime.txt pyproject.toml | .venv/bin/pip
	@echo 'Installing what runs the relay into .venv, as locked'
	@$(PIP) install --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@.venv/bin/pip --disable-pip-version-check check
	@touch $@

.venv/.works: .venv/.runs requirements/test.txt requirements/check.txt
	@echo 'Installing what works on the relay into .venv, as locked'
	@$(PIP) install --require-hashes -r requirements/test.txt -r requirements/check.txt
	@touch $@
