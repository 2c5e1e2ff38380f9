# make demo     run the demo: three servers, faults, meshlib beside plain httpx
# make test     everything a change must pass, against the built wheel
# make test-all the same, then the long forms
# make bench    measure
# make lint     style, layering, change fragments
# make types    mypy, and what type checkers see of the installed package
# make venv     an editable installation with all tools in .venv
# make wheel    dist/*.whl
# make clean    remove what make made

# Lines and branches of core, engine, routing, balancing, resilience and policy, in per cent.
COVERAGE := 100

VENV := .venv
TEST := .venv-test
BIN := $(TEST)/bin
SOURCES := $(shell find src -name __pycache__ -prune -o -print)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PATH := $(PATH):/usr/sbin

.PHONY: demo test test-all bench lint types venv wheel servers clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	@$(VENV)/bin/meshlib demo $(ARGS)

test: servers lint types
	$(BIN)/python -m coverage run -m pytest -m "not slow and not bench" $(ARGS)
	$(BIN)/python -m coverage report --fail-under=$(COVERAGE)

test-all: test
	$(BIN)/python -m pytest -m "slow and not bench" --timeout=600

bench: $(TEST)/.bench $(TEST)/.wheel
	$(BIN)/python -m benchmarks $(ARGS)

lint: $(TEST)/.wheel
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python scripts/changelog --check

types: $(TEST)/.wheel
	$(BIN)/mypy
	PATH=$(abspath $(BIN)):$$PATH pyright --ignoreexternal --verifytypes meshlib

venv: $(VENV)/.dev

wheel: dist/.built

servers:
	@scripts/system-servers

clean:
	rm -rf $(VENV) $(TEST) build dist site .coverage .coverage.* htmlcov
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

# pip of Python 3.11 knows no dependency groups yet.
%/.python: scripts/find-python
	@python=$$(scripts/find-python) && "$$python" -m venv --clear $*
	@$*/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.demo: $(VENV)/.python pyproject.toml
	$(VENV)/bin/python -m pip install --quiet --editable '.[cli]'
	@touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml
	$(VENV)/bin/python -m pip install --quiet --group dev --editable '.[all]'
	@touch $@

$(TEST)/.tools: $(TEST)/.python pyproject.toml
	$(BIN)/python -m pip install --quiet --group test --group lint --group build
	@touch $@

$(TEST)/.bench: $(TEST)/.tools
	$(BIN)/python -m pip install --quiet --group bench
	@touch $@

dist/.built: $(TEST)/.tools $(SOURCES) README.md LICENSE
	@rm -rf dist
	$(BIN)/python -m hatchling build -t wheel -d dist
	@touch $@

# The dependencies follow pyproject.toml, the wheel itself follows the sources.
$(TEST)/.requirements: $(TEST)/.tools | dist/.built
	for wheel in dist/*.whl; do $(BIN)/python -m pip install --quiet "$$wheel[all]"; done
	@touch $@

$(TEST)/.wheel: dist/.built $(TEST)/.requirements
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps dist/*.whl
	@touch $@
