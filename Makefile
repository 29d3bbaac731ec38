# The commands of the project. Portable make: no GNU or BSD extensions.

VENV = .venv
BIN = $(VENV)/bin
ARGS =

help:
	@echo 'make setup         make $(VENV) with everything in it (Python 3.11 or newer)'
	@echo 'make serve         run the server; ARGS="--port 0" and such are passed on'
	@echo 'make test          make check, then every test; those for MariaDB and Cassandra need make servers'
	@echo 'make check         lint, format, types, import rules, generated code, protobuf style'
	@echo 'make servers       start a MariaDB and a Cassandra on loopback for tests and benchmarks'
	@echo 'make servers-stop  stop them'
	@echo 'make conformance   run the Connect conformance suite; needs Go and its module proxy'
	@echo 'make bench         run the benchmarks'
	@echo 'make clean         remove $(VENV), the test servers and caches; data in .sun stays'

setup: $(VENV)/.ready
	@:

$(VENV)/.ready: pyproject.toml constraints.txt
	@set -e; python=; \
	for name in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
	  if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo 'make: no Python 3.11 or newer was found; install it first' >&2; exit 1; fi; \
	if $(BIN)/python -c 'import pip' >/dev/null 2>&1; then :; \
	elif $$python -c 'import ensurepip' >/dev/null 2>&1; then $$python -m venv --clear $(VENV); \
	elif $$python -m venv --clear --without-pip $(VENV) >/dev/null 2>&1 \
	  && $$python -m pip --python $(BIN)/python install -q pip >/dev/null 2>&1; then :; \
	else echo "make: $$python cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; fi
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev,bench]' -c constraints.txt
	@touch $@

serve: setup
	@exec $(BIN)/sun serve $(ARGS)

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright -p .
	$(BIN)/lint-imports --no-logo
	$(BIN)/sun generate --check
	$(BIN)/buf lint

test: check
	$(BIN)/python -m pytest $(ARGS)

servers: setup
	@$(BIN)/python tests/servers.py start

servers-stop:
	@if [ -x $(BIN)/python ]; then $(BIN)/python tests/servers.py stop; fi

conformance: setup
	@$(BIN)/python -m tests.conformance.run

bench: setup
	@$(BIN)/python -m bench $(ARGS)

clean: servers-stop
	rm -rf $(VENV) .sun-servers .pytest_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help setup serve check test servers servers-stop conformance bench clean
