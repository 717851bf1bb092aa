# The two commands: `make demo` and `make test`. `make help` lists the rest.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Of which build torch is: `make demo TORCH=cpu` on Linux for one without CUDA. The environment keeps it.
HAS_TORCH := $(shell cat $(VENV)/torch 2>/dev/null)
TORCH ?= $(or $(HAS_TORCH),cuda)
PINNED = $(BIN)/python scripts/install_pinned.py --torch $(TORCH)
export PATH := $(BIN):$(PATH)

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	-c requirements/held.in pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help demo test test-slurm lint format lock docs site clean

ifneq ($(TORCH),$(or $(HAS_TORCH),$(TORCH)))
ifneq ($(MAKECMDGOALS),clean)
$(error $(VENV) has torch for $(HAS_TORCH), not for $(TORCH): remove $(VENV) first)
endif
endif

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/demo.stamp  ## Install (TORCH=cpu: without CUDA), run the pipeline on the demo task, print the table
	@snakemake --cores all -- all

test: $(VENV)/test.stamp  ## Install with the test extras and run the tests
	@pytest --numprocesses 2 --dist loadfile

test-slurm: $(VENV)/test.stamp  ## Start a one-node Slurm (root, Debian) and run the cluster tests
	@SRECLIP_REQUIRE_SLURM=1 pytest -m slurm

lint: $(VENV)/test.stamp  ## Run ruff, mypy, snakefmt and snakemake --lint
	ruff check
	ruff format --check
	mypy
	snakefmt --check Snakefile workflow
	snakemake --lint

format: $(VENV)/test.stamp  ## Format Python and Snakemake files
	ruff check --fix
	ruff format
	snakefmt Snakefile workflow

docs: $(VENV)/demo.stamp  ## Write the reference of parameters and commands, and the schema
	sreclip reference docs

site: $(VENV)/test.stamp  ## Build the documentation as a site, into site/
	zensical build --clean --strict

lock: $(VENV)/test.stamp  ## Pin the environments again from pyproject.toml
	$(LOCK) --extra demo -o requirements/demo.txt
	$(LOCK) -c requirements/demo.txt --extra demo --extra test --extra dev -o requirements/test.txt

clean:  ## Remove the environment, the results and the logs
	rm -rf $(VENV) results logs

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "sreclip needs Python 3.11 or newer; run: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: requirements/demo.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing the pinned requirements (torch is large: a few minutes) ..."
	@$(PINNED) requirements/demo.txt
	@echo $(TORCH) >$(VENV)/torch
	@$(PIP) install --no-deps --no-build-isolation --editable . >$(VENV)/install.log 2>&1 || \
		{ cat $(VENV)/install.log; exit 1; }
	@touch $@

$(VENV)/test.stamp: requirements/test.txt $(VENV)/demo.stamp
	@echo "Installing the test requirements ..."
	@$(PINNED) requirements/test.txt
	@touch $@
