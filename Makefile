# Every target sets up what it needs on a fresh Debian machine; `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= python3
# For pytest, the benchmarks or the lock: make test ARGS='-k reload', make lock ARGS=--upgrade
ARGS ?=
# Of a new project, and the folder that it is made in: make new
NAME ?=
INTO ?= ..
# Test processes at a time: one more than two cores have, for they wait a lot.
JOBS ?= 3

bin := .venv/bin
stamp := .venv/.complete

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(stamp) ## run the example services without Docker; Ctrl-C stops them
	@echo "run: the services of examples/shop, as its shop.conf says; Ctrl-C stops them"
	@# At a terminal, which bash knows by stderr, the launcher gets a process group of its own, else Ctrl-C would end make with an error as well.
	@cd examples/shop; run=(../../$(bin)/launcher run --config-file shop.conf $(ARGS)); \
	    if [[ -t 0 && -t 2 ]]; then set -m; "$${run[@]}"; else exec "$${run[@]}"; fi

test: $(stamp) ## unit, property, functional and template tests, without Docker
	@echo "test: unit, property, functional and template tests, $(JOBS) at a time"
	@tools/need unshare=util-linux nsenter=util-linux setpriv=util-linux ps=procps openssl=openssl
	@$(bin)/python -m pytest -n $(JOBS) tests/unit tests/property tests/functional tests/template $(ARGS)

simulate: $(stamp) ## the core against a simulated kernel: make simulate ARGS='--schedules 100000 --seed random'
	@echo "simulate: random schedules of the core, $(JOBS) test processes"
	@$(bin)/python -m pytest -n $(JOBS) tests/property/simulation $(ARGS)

mutants: $(stamp) ## whether the tests of the core have teeth: break it in one place after the other
	@$(bin)/python -m tests.property.mutants.run $(JOBS) $(ARGS)

conformance: $(stamp) ## what an init must do, case by case: launcher, tini, dumb-init and catatonit side by side
	@echo "conformance: launcher exec, tini, dumb-init, catatonit, $(JOBS) cases at a time"
	@tools/need unshare=util-linux tini=tini dumb-init=dumb-init catatonit=catatonit
	@$(bin)/python -m tests.functional.conformance.table $(JOBS)

integration: $(stamp) base-image image ## tests of real containers, through the Docker SDK
	@echo "integration: tests of real containers"
	@$(bin)/python -m pytest tests/integration $(ARGS)

check: $(stamp) ## lint, format and types
	@echo "check: ruff, mypy, shellcheck"
	@$(bin)/ruff check .
	@$(bin)/ruff format --check .
	@$(bin)/mypy --strict launcher bench
	@$(bin)/shellcheck tools/* .ci/run tests/openstack/setup/*

engine: ## make sure that a Docker Engine answers; on Debian as root, install and start one
	@tools/engine

base-image: engine ## make sure that debian:trixie-slim is here, pulled or made from Debian's packages
	@tools/base-image

image: engine base-image ## build launcher and launcher-dev, tagged latest and with the version
	@tools/image

# As it was given: data, whatever make would take it for.
new: export override NAME := $(value NAME)
new: export INTO := $(INTO)
new: $(stamp) image ## make a project from the template, build, test and start it: make new NAME='My Shop' ARGS='kind=full'
	@tools/new $(ARGS)

openstack: $(stamp) base-image image ## OpenStack's own programs, unmodified, under oslo.service and under launcher.oslo
	@echo "openstack: nova, cinder, mistral and ironic as PID 1 of containers, side by side"
	@$(bin)/python -m tests.openstack.table $(ARGS)

bench: compiled ## measure the launcher beside its peers
	@echo "bench: the launcher beside its peers, interleaved"
	@.venv-bench/bin/python -m bench $(ARGS)

bench-init: compiled ## measure launcher exec beside tini, dumb-init and catatonit
	@echo "bench-init: launcher exec, tini, dumb-init, catatonit and a bare Python, interleaved"
	@tools/need cc=gcc tini=tini dumb-init=dumb-init catatonit=catatonit
	@.venv-bench/bin/python -m bench.init $(ARGS)

bench-oslo: compiled ## measure launcher.oslo beside oslo.service, on both backends
	@echo "bench-oslo: one program under launcher.oslo and under oslo.service, side by side"
	@tools/need unshare=util-linux
	@.venv-bench/bin/python -m bench.oslo $(ARGS)

lock: $(stamp) ## write requirements/*.txt anew from requirements/*.in; ARGS=--upgrade for newer versions
	@echo "lock: resolving requirements/*.in"
	@tools/lock $(ARGS)

clean: ## remove what these targets made here: .venv and caches, not the images
	@echo "clean: virtual environments, caches, build leftovers"
	@rm -rf .venv .venv-bench .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info .coverage*
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last, so that a venv cut short is built again.
$(stamp): requirements/dev.txt pyproject.toml tools/venv bin/start.c
	@tools/venv $(PYTHON) dev
	@touch $@

.venv-bench/.complete: requirements/bench.txt pyproject.toml tools/venv bin/start.c
	@tools/venv $(PYTHON) bench
	@touch $@

# What a peer is from the index is compiled when it is installed; ours would be at every start, where Python may not write.
compiled: .venv-bench/.complete
	@.venv-bench/bin/python -m compileall -q launcher

.PHONY: help new run test simulate mutants conformance integration openstack check engine base-image image bench bench-init bench-oslo compiled lock clean
