# Two commands: `make demo` (or make demo TEXT="…") and `make test`.
# Every pip call obeys constraints.txt; the second run of anything does not call pip at all.

TEXT ?= The capital of France is
# Taken as it was typed: not expanded by make, handed to the shell as a variable, never as code.
override TEXT := $(value TEXT)
export TEXT

BIN := .venv/bin
, := ,
PARTS := models,serve,experiments,notebook,graphs
export PIP_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

# $(call install,EXTRAS,WHAT): one line before, one after, pip silent unless it fails.
define install
	@echo "installing $(2) (once)"; start=$$(date +%s); \
	$(BIN)/python -m pip install --quiet --editable ".[$(1)]" \
	  || { echo "installing failed: see pip's message above" >&2; exit 2; }; \
	echo "installed in $$(( $$(date +%s) - start )) s"; touch $@ .venv/stamp-models
endef

.PHONY: demo test check web clean distclean browser

demo: .venv/stamp-models
	@mkdir -p out
	@$(BIN)/worldline trace --out out/demo.html -- "$$TEXT"

test: .venv/stamp-test
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: .venv/stamp-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python .ci/check_style.py

# The front end, from the locked packages: types, unit tests, and that what is committed is what
# its sources give, byte for byte. Only who changes web/ needs Node.
web: web/node_modules/.stamp
	cd web && npm run --silent check && npm run --silent test
	@rm -rf web/out/before && mkdir -p web/out/before
	@cp -r src/worldline/views/static web/src/*.gen.ts web/out/before
	cd web && npm run --silent build
	@{ diff -rq web/out/before/static src/worldline/views/static \
	  && for types in web/src/*.gen.ts; do diff -q web/out/before/$$(basename $$types) $$types || exit 2; done; } \
	  || { echo "what is committed was not built from web/src: commit what it is now" >&2; exit 2; }

web/node_modules/.stamp: web/package-lock.json
	@command -v npm >/dev/null || { echo "make web needs Node 20 or newer with npm" >&2; exit 2; }
	cd web && npm ci --silent --no-audit --no-fund
	@touch $@

clean:
	rm -rf out build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv

.venv/stamp-models: pyproject.toml constraints.txt | .venv/stamp-venv
	$(call install,models$(,)serve$(,)experiments,worldline and what it needs to run models: 1.3 GB and a minute or two)

.venv/stamp-test: pyproject.toml constraints.txt | browser .venv/stamp-venv
	$(call install,$(PARTS)$(,)test,worldline and what its tests need: a minute or two)

.venv/stamp-check: pyproject.toml constraints.txt | .venv/stamp-venv
	$(call install,check$(,)$(PARTS)$(,)test,worldline and what checks it: a minute or two)

# A virtual environment that works is kept, whoever made it.
.venv/stamp-venv:
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  for python in $(PYTHON) python3.11 python3 python3.14 python3.13 python3.12; do \
	    if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	    then found=$$python; break; fi; \
	  done; \
	  if [ -z "$${found:-}" ]; then \
	    echo "worldline needs Python 3.11 or newer and found $$(python3 --version 2>&1 || echo none);" \
	      "name one: make demo PYTHON=/path/to/python3.11" >&2; exit 2; fi; \
	  "$$found" -m venv --clear .venv >/dev/null || { \
	    echo "$$found cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; \
	    exit 2; }; \
	fi
	@touch $@

# The tests open the page in a real browser; said before anything else is installed.
browser:
	@if ! command -v chromium >/dev/null; then \
	  packages="chromium fonts-noto-color-emoji fonts-noto-cjk"; \
	  if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	    echo "the tests need Chromium; install it first: sudo apt-get install $$packages" >&2; exit 2; \
	  fi; \
	  echo "installing $$packages (once)"; \
	  log=$$(mktemp); { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
	    $$packages; } >"$$log" 2>&1 </dev/null \
	  || { tail -n 3 "$$log"; echo "apt-get could not install $$packages" >&2; exit 2; }; \
	  rm -f "$$log"; \
	fi
