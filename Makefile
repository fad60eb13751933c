# The commands for people. Each target sets up what it needs; `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
NAMES ?=
VARIANT ?= gpu
WORKERS ?= 2
export TORCH_WHEELS VLLM_WHEEL VLLM_WHEEL_SHA256

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-long lint format bench lock images compile

help:  ## Show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup:  ## Make .venv from the committed locks (seconds when nothing changed)
	@$(PYTHON) images/laptop/setup.py

demo: setup  ## Run the whole pipeline on this machine, without a cluster (ARGS="--fresh", ARGS="--from grpo" ...)
	@$(BIN)/python -m pipelines run demo $(ARGS)

test: setup lint  ## What CI checks of each change: lint, tests, whole runs on this machine
	@$(BIN)/python -m pytest -m "not gpu and not cluster and not long" -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-fast: setup  ## Only the unit and contract tests
	@$(BIN)/python -m pytest tests/unit tests/contract $(ARGS)

test-long: setup  ## The rest: trainings that are killed and compared, engines under load (CI: on main and every night)
	@$(BIN)/python -m pytest -m "long and not gpu and not cluster" -n $(WORKERS) --dist loadfile $(ARGS)

lint: setup  ## Style, types, import borders, workflows
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/lint-imports --no-logo 2>/dev/null || PYTHONPATH=. $(BIN)/lint-imports
	@$(BIN)/zizmor --offline --quiet --persona=auditor --min-severity=medium .github/workflows

format: setup  ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup  ## Run all benchmarks but bench_learning, which takes hours, one after the other
	@for file in $(filter-out %/bench_learning.py,$(wildcard tests/benchmarks/bench_*.py)); do $(BIN)/python $$file || exit 1; done

compile: setup  ## Compile the pipelines for the KFP UI (pipelines/compiled)
	@$(BIN)/python -m pipelines compile

images:  ## Build the container images (NAMES="evaluate curation", VARIANT=cpu for machines without a GPU)
	@$(PYTHON) images/build.py $(NAMES) --variant $(VARIANT)

lock: setup  ## Update the locks of the laptop and of the images (NAMES="evaluate" for some)
	@$(BIN)/python images/lock.py $(NAMES)
