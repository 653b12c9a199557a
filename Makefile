# Every target says what it does: `make`.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
HW4 := $(VENV)/bin/hw4
TO ?= kaggle
TRUTH ?=
SPLIT ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo ladder zoo pretraining lecture density test torture test-slow test-corpus test-browser test-slurm test-ray test-gpu mutants check submit bench bench-gpu bench-large scale clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# The stamp is made anew when what is installed changes.
setup: $(VENV)/ready ## Install hw4 and its tools into .venv
$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hw4 needs Python 3.11 or newer: make setup PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,kaggle,postgresql,report]'
	@touch $@

demo: setup ## From nothing to a scored submission on synthetic speakers, in minutes
	@$(HW4) run pipelines/demo.toml --workspace demo
	@$(HW4) leaderboard show --workspace demo
	@echo "Open demo/report.html in a browser."
	@echo "The real thing, with the token of a Kaggle account:"
	@echo "  $(HW4) data download && $(HW4) run pipelines/kaggle.toml"

test: setup ## Run the tests (about a quarter of an hour)
	$(VENV)/bin/pytest

# 1700 seconds at most; SCALE=3 tries three times as often, SEED=1 tries something else.
SECONDS ?= 1700
SCALE ?= 1
SEED ?= 0
torture: setup ## Kill, starve, damage and race hw4, and count what was lost (half an hour)
	$(VENV)/bin/python -m tests.torture --seconds $(SECONDS) --scale $(SCALE) --seed $(SEED)

test-slow: setup ## Run the tests that take minutes
	$(VENV)/bin/pytest -m slow

test-corpus: setup ## Run the checks on the real speech in ../shared/corpora
	$(VENV)/bin/pytest -m corpus

test-browser: setup ## Open the report in headless Chromium, which must be installed
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser]'
	$(VENV)/bin/pytest -m browser

test-slurm: setup ## Start a Slurm (as root: apt install slurm-wlm munge) and train on it
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[slurm]'
	$(VENV)/bin/pytest -m slurm

test-ray: setup ## Train on a Ray cluster of two nodes, which is started here
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[ray]'
	$(VENV)/bin/pytest -m ray

test-gpu: setup ## Run the checks that need a CUDA device
	$(VENV)/bin/pytest -m gpu

mutants: setup ## Test the tests: do they notice 300 changed lines? (two hours)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[mutation]'
	$(VENV)/bin/python benchmarks/mutants.py

check: setup ## Lint, types, import layers and tests
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo
	$(VENV)/bin/pytest

submit: setup ## Blend runs/*, check, forecast and send to Kaggle (TO=local: a dry run)
	$(HW4) ensemble runs/* $(if $(SPLIT),--split $(SPLIT))
	version=$$($(HW4) ensemble runs/* $(if $(SPLIT),--split $(SPLIT)) --json 2>/dev/null | $(VENV)/bin/python -c 'import json, sys; print(json.load(sys.stdin)["version"])') \
	  && $(HW4) submit $$version --to $(TO) $(if $(TRUTH),--truth $(TRUTH))

LADDER := build/ladder
BUDGETS ?= 90 600
CORPORA := en150 ko100 synthetic
ZOO_SECONDS ?= 120
RECIPES ?=

ladder: $(CORPORA:%=$(LADDER)/%/folds/session6.csv) ## Train peers and ours, three seeds each, in equal steps and times: docs/ladder.md (half a day; on a card: DEVICE=cuda JOBS=8)
	$(VENV)/bin/python benchmarks/ladder.py --seconds $(BUDGETS) $(if $(DEVICE),--device $(DEVICE)) $(if $(JOBS),--jobs $(JOBS)) \
	  --corpus "EN150, real speech: thin" $(LADDER)/en150 $(LADDER)/en150/corpus/truth.csv 1000 \
	  --corpus "KO100, real speech: dense" $(LADDER)/ko100 $(LADDER)/ko100/corpus/truth.csv 1000 \
	  --corpus "Synthetic speakers" $(LADDER)/synthetic $(LADDER)/synthetic/corpus/truth.csv 400

zoo: $(CORPORA:%=$(LADDER)/%/folds/session6.csv) ## Train every kind of encoder, three seeds each, alone and in ensembles: docs/zoo.md (a day)
	$(VENV)/bin/python benchmarks/zoo.py --seconds $(ZOO_SECONDS) $(if $(RECIPES),--recipes $(RECIPES)) \
	  --corpus "EN150, real speech: thin" $(LADDER)/en150 $(LADDER)/en150/corpus/truth.csv 1000 \
	  --corpus "KO100, real speech: dense" $(LADDER)/ko100 $(LADDER)/ko100/corpus/truth.csv 1000 \
	  --corpus "Synthetic speakers" $(LADDER)/synthetic $(LADDER)/synthetic/corpus/truth.csv 400

$(LADDER)/synthetic/corpus: | setup
	$(HW4) data synth $@ --speakers 60
$(LADDER)/%/corpus: | setup
	$(VENV)/bin/python ../shared/corpora/unpack.py $@ --corpus $*
$(LADDER)/%/folds/session6.csv: $(LADDER)/%/corpus
	HW4_WORKSPACE=$(LADDER)/$* $(HW4) data pack $<
	HW4_WORKSPACE=$(LADDER)/$* $(HW4) split --folds 6 --by session

pretraining: $(CORPORA:%=$(LADDER)/%/folds/session6.csv) ## Does learning without labels pay? docs/pretraining_measured.md (half a day)
	$(VENV)/bin/python benchmarks/pretraining.py \
	  --corpus "EN150, real speech: thin" $(LADDER)/en150 $(LADDER)/en150/corpus/truth.csv \
	  --corpus "KO100, real speech: dense" $(LADDER)/ko100 $(LADDER)/ko100/corpus/truth.csv

lecture: setup ## Measure the claims of the lecture notes: docs/lecture.md (half an hour)
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m benchmarks.lecture

density: setup ## Session validation against unseen sessions, by the density of the test set (an hour)
	$(VENV)/bin/python benchmarks/density.py

# On one core; PARTS=steps,corpus measures less, QUICK=--quick only tries it.
PARTS ?=
QUICK ?=
BENCH := OMP_NUM_THREADS=1 $(VENV)/bin/python -m benchmarks.bench $(QUICK) $(if $(PARTS),--parts $(PARTS))
bench: setup ## Time hw4 against eb80930, the sample notebook and the machine's limits: docs/performance.md
	$(BENCH)

bench-gpu: setup ## Time training and prediction on a CUDA device, in every precision that it has
	$(BENCH) --device cuda

bench-large: setup ## Time the largest ensemble and the report, with their memory
	$(VENV)/bin/python benchmarks/ensemble.py
	$(VENV)/bin/python benchmarks/report.py

scale: setup ## Measure what many speakers and utterances cost: docs/scale_measured.md (an hour)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[large]'
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m benchmarks.scale

clean: ## Remove the demo and the caches; runs, folds and submissions stay
	rm -rf demo tour build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
