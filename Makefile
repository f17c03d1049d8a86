# Freshet: everything a person types. `make run` and `make test` work on a fresh Debian 12.
#
#   make run      from nothing to a running server with a view that changes before your eyes
#   make check    a choice of the tests that takes a minute or so; make check-one T=... one test, by its name or file
#   make test     every test; make test SAN=1 the same under sanitizers, on a PostgreSQL with assertions
#   make test-valgrind   the extension under valgrind
#   make fuzz     random tables, queries and histories for an hour (FUZZ_SECONDS), failures in fuzz-results/
#   make suites   other people's test suites, directly at PostgreSQL and through the door
#   make bench    the numbers of README.md
#   make cost     what keeping each shape of view costs, counted: compared with bench/cost.txt; RENEW=1 writes it
#
# Settings: PG_CONFIG (which PostgreSQL), FRESHET_DATA (where `make run` keeps its data),
# PREFIX (where `make install` puts the server), PYTEST (arguments for pytest), SUITES (which ones),
# WERROR=1 (warnings are errors).

PG_CONFIG ?= $(firstword $(wildcard /usr/lib/postgresql/15/bin/pg_config) pg_config)
PREFIX ?= /usr/local
PYTHON ?= python3
JOBS ?= $(shell nproc)
PYTEST ?= tests
SAN ?=
WERROR ?=
RENEW ?=
T ?=

export PG_CONFIG PREFIX SAN WERROR RENEW

MAKEFLAGS += --no-print-directory
C_FILES = $(shell git ls-files '*.c' '*.h')
VENV_STAMP = .venv/stamp
SANITIZE = -fsanitize=address -fsanitize=undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
EXTENSION_FLAGS = COPT="$(if $(SAN),$(SANITIZE)) $(if $(WERROR),-Werror)"
# The PostgreSQL tree belongs to root on most machines; a private one does not.
AS_OWNER = $(shell [ -w "$$($(PG_CONFIG) --pkglibdir 2>/dev/null)" ] || [ "$$(id -u)" = 0 ] || echo sudo)
AS_PREFIX = $(shell [ -w "$(PREFIX)/bin" ] || [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: all extension server deps install install-extension run check check-one test test-valgrind suites fuzz bench cost format lint clean

all: extension server

extension: | .deps-stamp
	$(MAKE) -j$(JOBS) -C extension PG_CONFIG=$(PG_CONFIG) $(EXTENSION_FLAGS) all

server: | .deps-stamp
	$(MAKE) -j$(JOBS) -C server PG_CONFIG=$(PG_CONFIG) all

deps: .deps-stamp .test-deps-stamp

.deps-stamp: tools/deps
	tools/deps
	@touch $@

.test-deps-stamp: tools/deps
	tools/deps tests
	@touch $@

$(VENV_STAMP): tests/requirements.txt | .deps-stamp
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --target .venv/sqlalchemy20 SQLAlchemy==2.0.58
	@touch $@

install-extension: extension
	$(AS_OWNER) $(MAKE) -C extension PG_CONFIG=$(PG_CONFIG) $(EXTENSION_FLAGS) install >/dev/null

install: install-extension server
	$(AS_PREFIX) $(MAKE) -C server PG_CONFIG=$(PG_CONFIG) prefix=$(PREFIX) install

run: install-extension server
	@tools/run

check: | .deps-stamp
	@tools/test --check

check-one: install-extension server $(VENV_STAMP)
	@tools/check-one '$(T)'

test: | deps
	@tools/test $(PYTEST)

test-valgrind: | deps
	@tools/test-valgrind

fuzz: install-extension $(VENV_STAMP)
	@.venv/bin/python tools/fuzz

suites: install-extension server $(VENV_STAMP) | .test-deps-stamp
	@tests/suites/run $(SUITES)

bench: install-extension server $(VENV_STAMP)
	@.venv/bin/python bench/all

format: | .deps-stamp
	@clang-format -i $(C_FILES)

cost: install-extension $(VENV_STAMP)
	@command -v valgrind >/dev/null || { echo "make cost needs valgrind" >&2; exit 1; }
	@.venv/bin/python bench/cost

# clang-format has the last word on layout, the compiler on warnings.
lint: | .deps-stamp
	@clang-format --dry-run -Werror $(C_FILES)
	@tools/lint

clean:
	-$(MAKE) -C extension PG_CONFIG=$(PG_CONFIG) clean
	-$(MAKE) -C server clean
	rm -rf .deps-stamp .test-deps-stamp .venv bench/results build
