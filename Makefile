# Everything a newcomer types. `make` alone lists it.
PYTHON    ?= python3
MINI_MIAS ?= ../shared/data/mini-mias

BIN       := .venv/bin
INSTALLED := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo ui test check bench bench-ui fuzz attacks archive results evidence clean
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1|\2/p' Makefile | while IFS='|' read -r name words; do \
		printf '  %-14s%s\n' "$$name" "$$words"; done

install: $(INSTALLED) ## create .venv with the pinned dependencies; does nothing when it is up to date
	@:

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "medproto needs Python 3.11 or newer, and '$(PYTHON)' is not: name one with 'make PYTHON=/path/to/python3.11'." >&2; \
		exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make virtual environments: install its venv package (Debian: python3-venv)." >&2; exit 1; }
	@echo "Installing medproto and its pinned dependencies into .venv (several GB, mostly torch) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[demo,dev]"
	@touch $@

demo: install ## make a synthetic cohort, train, score, report, verify and trace in demo/
	@$(BIN)/medproto demo demo

ui: install ## open the reading room over the demo on 127.0.0.1, where nobody signs in
	@$(BIN)/medproto ui --home demo/home --bundle demo/bundle --demo

# Two test processes share the cores: more threads in each would only make them wait for one another.
test: install ## run the whole test suite
	@OMP_NUM_THREADS=1 $(BIN)/pytest

check: install ## formatting, lint, types and import direction
	@$(BIN)/ruff format --check --quiet . || { \
		echo "Formatting differs: run '$(BIN)/ruff format .'." >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@OMP_NUM_THREADS=1 $(BIN)/pytest -n 0 tests/test_architecture.py

bench: install ## run the benchmarks
	@$(BIN)/python -m benchmarks

bench-ui: install ## a large exam in Chromium, ten sessions at once, 500 openings; prints times, frames, memory
	@$(BIN)/python -m benchmarks.ui

fuzz: install ## read 10,000 mutated files; FUZZ='--count N --seed S' for others
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz $(FUZZ)

attacks: install ## attack a ledger, kill writers, race appends, live histories; ATTACKS='HOME --anchors F' for another
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.audit.attacks $(ATTACKS)
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.audit.attacks.campaign

archive: ## say how mini-MIAS is to be had, where it is not at MINI_MIAS
	@test -e "$(MINI_MIAS)" || { \
		echo "mini-MIAS is not at $(MINI_MIAS): put all-mias.tar.gz there, or name its folder with MINI_MIAS=FOLDER." >&2; \
		exit 1; }

results: install archive ## print the accuracy table; MINI_MIAS names the folder of the archive
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.results "$(MINI_MIAS)"

evidence: install archive ## measure the evidence on 1,000 synthetic exams and on mini-MIAS; an hour or two
	@$(BIN)/python -m benchmarks.evidence "$(MINI_MIAS)"

clean: ## remove caches and build outputs; .venv and demo/, which holds a ledger, stay
	@rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
