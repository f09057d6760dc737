# One place for every command. The environment is .venv, made once and made again only when requirements change.
#
#   make PYTHON=python3.11 test      another Python (3.10 to 3.12) for a new .venv
#   make PYTEST_ARGS='-k nms' test   options for pytest
#   make PYTEST_WORKERS=0 test       the tests in one process
#   make IMAGE=det/mmyolo:cpu BASE_IMAGE=python:3.11-slim image

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
PYTEST_ARGS ?=
# Two processes share the tests where there are two cores; a process takes up to 2 GB of memory. A file's tests stay
# together, because they share trainings. Each process then computes in one thread, so that they don't fight for cores.
# The seed of hashes differs from run to run, not from process to process: a set's order may be part of a test's name.
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
PYTEST_WORKERS ?= $(if $(filter 1,$(CORES)),0,2)
PARALLEL := $(if $(filter-out 0,$(PYTEST_WORKERS)),--numprocesses=$(PYTEST_WORKERS) --dist=loadfile --no-loadscope-reorder)
THREADS := $(if $(PARALLEL),OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} PYTHONHASHSEED=$${PYTHONHASHSEED:-$$(date +%s)})
IMAGE ?= det/mmyolo:tmi
BASE_IMAGE ?=
BUILD_ARGS ?= $(if $(BASE_IMAGE),--build-arg BASE_IMAGE=$(BASE_IMAGE))

.DEFAULT_GOAL := help
.PHONY: help install lint format demo pie-demo test test-slow test-gpu test-image test-ray image bench clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

install: $(READY)  ## make the environment .venv (the other targets do it too)

$(READY): requirements/install.sh $(wildcard requirements/*.txt) pyproject.toml
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "The Python module venv is missing; on Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	sh requirements/install.sh $(PY) requirements/test.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

lint: $(READY)  ## check style and format of every file with ruff
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: $(READY)  ## format every file and fix what ruff can fix
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

demo: $(READY)  ## train, mine and infer on generated data as the platform does (about 5 minutes on 2 CPU cores)
	$(PY) -m ymir_local.demo.demo

pie-demo: $(READY)  ## train as a script of PIE-Engine AI on generated data, with the platform's part on this machine
	$(PY) -m pie_local demo

test: $(READY)  ## unit and integration tests
	$(THREADS) $(PY) -m pytest -m 'not slow and not gpu and not image and not ray' $(PARALLEL) $(PYTEST_ARGS)

test-slow: $(READY)  ## every config, and what else takes minutes
	$(PY) -m pytest -m 'slow' $(PYTEST_ARGS)

test-gpu: $(READY)  ## what needs CUDA
	$(PY) -m pytest -m 'gpu' $(PYTEST_ARGS)

test-image: $(READY)  ## build the image and run it as the platform does; YMIR_TEST_BASE_IMAGE names the base
	$(PY) -m pytest -m 'image' $(PYTEST_ARGS)

test-ray: $(READY)  ## inference and mining on a Ray cluster of this machine's processes; installs Ray first
	sh requirements/install.sh $(PY) requirements/ray.txt
	$(PY) -m pytest -m 'ray' $(PYTEST_ARGS)

image:  ## build the image det/mmyolo:tmi
	docker build $(BUILD_ARGS) -t $(IMAGE) -f ymir/Dockerfile .

bench: $(READY)  ## speed and memory, side by side with a reference, as tables
	for script in benchmarks/*.py; do echo "== $$script"; $(PY) -m benchmarks.$$(basename $$script .py) || exit 1; done

clean:  ## remove the environment and what runs left behind
	rm -rf $(VENV) build dist work_dirs demo_out pie_demo_out pie_runs .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
