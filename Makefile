# make demo   sets up and shows the ultrasound example with its verdicts on http://127.0.0.1:8050
# make test   sets up and runs every check: lint, types, architecture, unit, stores, pages in a browser
# make test-stack  the same contract, faults and pages on real servers behind a real Collector
# make test-compose  builds the images and starts the compose file for real, in containers
# make test-gpu  what only a real NVIDIA GPU tells; skips without one (REQUIRE_GPU=1: fails)
# make truth  how often verdicts are right, on faults whose cause and size are known; JSON to bench-results/
# make test-pythons  the emitter's tests under Python 3.12 to 3.14 and free-threaded, those found on PATH
# make bench-ui  the pages' bars: viewers, a million kept frames, ten minutes of ingest; JSON to bench-results/
# make bench  measures; prints ratios taken side by side and writes JSON to bench-results/

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=
CODE   := instrumentation dash_app deploy examples tests bench docs hatch_build.py
LOCK   := requirements/dev.txt
# Tests on two processes, a file at a time in the usual order, each with servers, stores and a browser of its own.
TWO    := -n 2 --dist loadfile --no-loadscope-reorder

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-stack test-compose truth test-gpu test-pythons lint types architecture unit ui bench bench-ui pictures clean

demo: $(VENV)/.demo
	@exec $(BIN)/framescope demo $(ARGS)

test: lint types architecture unit ui

lint: $(VENV)/.dev
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types: $(VENV)/.dev
	$(BIN)/mypy

architecture: $(VENV)/.dev
	$(BIN)/lint-imports

# One at a time: tests of whole programs, which look at the machine's processes and would see a neighbour's.
unit: $(VENV)/.dev
	$(BIN)/python -m pytest tests/unit --ignore tests/unit/example $(TWO) $(ARGS)
	$(BIN)/python -m pytest tests/unit/example $(addprefix tests/,safety ways backends evidence demo truth) $(ARGS)
	FRAMESCOPE_COMPILED=0 $(BIN)/python -m pytest tests/unit/recorder tests/safety $(ARGS)

# In a process of its own: the browser's driver keeps an event loop running on the main thread.
ui: $(VENV)/.dev
	$(BIN)/python -m pytest tests/ui $(TWO) --timeout 300 $(ARGS)

# The servers are looked for in FRAMESCOPE_STACK_BIN, then on PATH. Pages apart, as above.
test-stack: $(VENV)/.dev
	$(BIN)/python -m pytest tests/stack --ignore tests/stack/pages $(ARGS)
	$(BIN)/python -m pytest tests/stack/pages $(ARGS)

# In the container engine that runs here, with the true images; under CI, or as root where none runs, in one
# of its own with stand-ins of the servers' images: docs/compose.md.
test-compose: $(VENV)/.dev
	$(BIN)/python -m pytest tests/compose --timeout 600 $(ARGS)

# Writes its figures to bench-results/gpu.json.
test-gpu: $(VENV)/.dev
	$(BIN)/python -m pytest tests/gpu --timeout 300 $(ARGS)

# How right the verdicts are, against faults of known kind and size: every run is recorded, and can be judged
# again without running anything (ARGS="--rescore"). A part of nine minutes at a time: ARGS="--part 1".
truth: $(VENV)/.dev
	$(BIN)/python tests/truth/run.py --seeds 5 7 --what single double nvml stub --withheld $(ARGS)

# Names or paths of interpreters in ARGS, else those on PATH. Minutes each: not part of continuous integration.
test-pythons: $(VENV)/.dev
	$(BIN)/python tests/pythons.py $(ARGS)

bench: $(VENV)/.dev
	@mkdir -p bench-results
	@for file in $(filter-out bench/ui.py,$(wildcard bench/[a-z]*.py)); do echo "== $$file"; $(BIN)/python $$file || exit 1; done

# A quarter of an hour on a quiet machine; ARGS="--ingest 300" for less.
bench-ui: $(VENV)/.dev
	$(BIN)/python bench/ui.py $(ARGS)

pictures: $(VENV)/.dev
	$(BIN)/python docs/screenshots.py $(ARGS)

# What the product needs to run its demo: three seconds with a warm package cache, a minute without.
$(VENV)/.demo: pyproject.toml $(LOCK) hatch_build.py instrumentation/framescope/_core.c dash_app/framescope_ui/store/_scan.c
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "framescope needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make PYTHON=python3.11 $(MAKECMDGOALS)")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "framescope: installing into $(VENV)" >&2
	@$(BIN)/python -m pip install --quiet --constraint $(LOCK) --editable ".[ui,demo]" || { \
	  echo "framescope: the packages could not be installed. With no network, run this once where there is" >&2; \
	  echo "one (or point pip at a mirror with PIP_INDEX_URL); afterwards 'make demo' needs none." >&2; exit 1; }
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	@$(BIN)/python -m pip install --quiet --requirement $(LOCK)
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache bench-results
