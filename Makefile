# The one list of tasks, for people and for CI. `make help` prints it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check -qq
RUNS   ?= runs
MINUTES ?= 110
TEST_ARGS ?=
YARDSTICKS ?=
SEED ?= 1
COUNT ?= 6000
resume  = $$(test -f $(RUNS)/default/$(1)/checkpoint.pt && echo --resume)

.DEFAULT_GOAL := help
SHELL := /bin/bash
.PHONY: help demo test fuzz lint bench docs yardsticks train-default bench-accuracy cohort-demo clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "spinelift needs Python 3.11 or newer as '$(PYTHON)'; found: $$($(PYTHON) --version 2>&1 | head -n 1)." >&2; \
	  echo "Install it, or name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "'$(PYTHON) -m venv' failed. On Debian and Ubuntu: apt-get install python3-venv" >&2; \
	  rm -rf $(VENV); exit 1; }
	@touch $@

# What `make demo` needs: the base install alone. No torch, no simulator.
$(VENV)/.base: $(VENV)/.made pyproject.toml
	@echo "Installing spinelift into $(VENV) ..."
	@$(PIP) install --editable .
	@touch $@

# What everything else needs.
$(VENV)/.dev: $(VENV)/.made pyproject.toml
	@echo "Installing spinelift with all its extras into $(VENV) ..."
	@$(PIP) install --editable '.[dev]'
	@touch $@ $(VENV)/.base

demo: $(VENV)/.base ## Predict a simulated person who was never in training; pictures go to demo_out/
	@$(BIN)/spinelift demo --out demo_out

test: $(VENV)/.dev ## Run the tests
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(TEST_ARGS)

# SEED and COUNT can be set. Inputs that fail are kept in RUNS/fuzz; `python -m tests.fuzz --help` has more options.
fuzz: $(VENV)/.dev ## Read thousands of damaged and hostile files, and write the table of docs/reliability.md
	@$(BIN)/python -m tests.fuzz --seed $(SEED) --count $(COUNT) --keep $(RUNS)/fuzz --report docs/reliability.md

lint: $(VENV)/.dev ## Check style, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(VENV)/.dev ## Measure speed and memory beside their targets
	@$(BIN)/python benchmarks/run.py

bench-accuracy: $(VENV)/.dev ## Measure the default bundle on 500 simulated people who were never trained on
	@$(BIN)/spinelift simulate training --people 500 --seed 900001 --foreign-bodies 0 --workers 2 --out $(RUNS)/accuracy/test.zarr
	@$(BIN)/spinelift simulate training --people 2000 --seed 900002 --workers 2 --out $(RUNS)/accuracy/baselines.zarr
	@$(BIN)/spinelift evaluate model --test $(RUNS)/accuracy/test.zarr --train $(RUNS)/accuracy/baselines.zarr \
	  --out $(RUNS)/accuracy/table.md

# Data that cannot be shipped are named by options, e.g. YARDSTICKS="--centroids FILE --donors FILE".
yardsticks: $(VENV)/.dev ## Measure the default bundle on real and half-real anatomy
	@$(BIN)/python -m benchmarks.yardsticks --out $(RUNS)/yardsticks $(YARDSTICKS)

docs: $(VENV)/.dev ## Build the documentation into site/
	@$(BIN)/mkdocs build --strict --quiet
	@echo "Documentation: site/index.html"

# Simulates, trains and bundles; each step resumes where it was cut short. RUNS and MINUTES can be set.
train-default: $(VENV)/.dev ## Make the default bundle anew: simulate, train, calibrate, export
	@$(BIN)/spinelift simulate training --people 40000 --seed 1 --workers 2 --out $(RUNS)/default/train.zarr
	@$(BIN)/spinelift simulate training --people 1000 --seed 2 --workers 2 --out $(RUNS)/default/val.zarr
	@$(BIN)/spinelift simulate training --people 2000 --seed 3 --other --workers 2 --out $(RUNS)/default/calibration.zarr
	@$(BIN)/spinelift simulate training --people 500 --seed 4 --foreign-bodies 0 --workers 2 --out $(RUNS)/default/test.zarr
	@$(BIN)/spinelift simulate training --whole-body --people 3000 --seed 5 --workers 2 --out $(RUNS)/default/scans.zarr
	@$(BIN)/spinelift simulate training --whole-body --people 200 --seed 6 --workers 2 --out $(RUNS)/default/scans-val.zarr
	@$(BIN)/spinelift train segmenter --data $(RUNS)/default/scans.zarr --val $(RUNS)/default/scans-val.zarr \
	  --out $(RUNS)/default/segmenter $(call resume,segmenter)
	@$(BIN)/spinelift train regressor --data $(RUNS)/default/train.zarr --val $(RUNS)/default/val.zarr \
	  --out $(RUNS)/default/regressor --max-minutes $(MINUTES) $(call resume,regressor)
	@$(BIN)/spinelift train bundle --regressor $(RUNS)/default/regressor --segmenter $(RUNS)/default/segmenter \
	  --calibration $(RUNS)/default/calibration.zarr --test $(RUNS)/default/test.zarr \
	  --train $(RUNS)/default/train.zarr --limit 10000 --out src/spinelift/bundles/default

cohort-demo: $(VENV)/.dev ## Simulate 60 people in DXA and MRI, build a cohort of them, report; timed
	@time $(BIN)/spinelift simulate cohort --people 60 --seed 7 --workers 2 --out $(RUNS)/cohort/people
	@time $(BIN)/spinelift cohort build --dxa $(RUNS)/cohort/people/dxa --mri $(RUNS)/cohort/people/mri \
	  --out $(RUNS)/cohort/store --workers 2 || test $$? = 3
	@$(BIN)/spinelift cohort report $(RUNS)/cohort/store --truth $(RUNS)/cohort/people/truth

clean: ## Remove the virtual environment and what was built
	rm -rf $(VENV) site demo_out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
