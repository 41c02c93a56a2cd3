# Every target makes its own environment first; `make` alone says what there is.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Processes that run tests; what to test, e.g. `make test TESTS=tests.crypto`.
JOBS ?= 2
TESTS ?= tests
TRIAL = PYTHONPATH=tests/support/plugins $(BIN)/python -m twisted.trial --reporter=ci -j$(JOBS)

# `make sim`: the seeds of each profile, the virtual minutes of each run, payments, processes.
SEEDS ?= 1..50
PROFILES ?= lan wan chaos byzantine
SIM_OPTIONS ?= --minutes 3 --payments 20 --jobs 2

# `make sim-long`, on top of that: the seeds of each profile, and one run of so many virtual hours.
LONG_SEEDS ?= 1..1250
LONG_HOURS ?= 72
LONG_PAYMENTS ?= 5000

# `make fuzz`: what is fuzzed, and for how long each.
FUZZ_TARGETS ?= wire frames session rpc json http websocket config genesis scripts texts rows files proofs
FUZZ_SECONDS ?= 60

# Debian packages that `make tools` installs: for building the package, and for tests that need more
# than Python (tests/support/tools.py).
TOOLS ?= bash curl debhelper debootstrap dh-virtualenv dpkg dpkg-dev git haproxy iproute2 \
  lintian man-db nginx-light openssh-client prometheus python3-venv shellcheck systemd \
  systemd-container util-linux

.PHONY: help install demo devnet test check-long lint format docs sim sim-long soak fuzz bench bench-rpc bench-capacity bench-heartbeats bench-growth bench-floods deb deb-test tools pins clean

help:
	@echo "make demo        validators pay, finalize, stake, crash and recover on this machine"
	@echo "make devnet      keeps three validators running until Ctrl-C"
	@echo "make test        the tests (TESTS=tests.crypto for a part of them)"
	@echo "make check-long  the tests again, with those that take many minutes"
	@echo "make sim         the simulator: faults of four profiles, 50 seeds each"
	@echo "make sim-long    5,000 seeds, and seven nodes for 72 virtual hours"
	@echo "make fuzz        coverage-guided fuzzing of every decoder"
	@echo "make soak        a devnet of three under payments for three minutes, watched for faults"
	@echo "make bench       the benchmarks of signatures, finality and RPC (make bench-rpc: RPC alone)"
	@echo "make bench-capacity  what a node needs: memory, processor, traffic, disk"
	@echo "make bench-heartbeats  heartbeat traffic of a node at 10, 100, 1,000 masternodes"
	@echo "make bench-growth  finality and messages of a payment at 4 to 256 validators"
	@echo "make bench-floods  what RPC, finality and blocks take under floods and slow callers"
	@echo "make lint        ruff and mypy; make format rewrites the layout"
	@echo "make docs        writes the methods' part of docs/rpc.rst anew from the code"
	@echo "make deb         the Debian package of this machine's release, in dist/ (RELEASE=debian/trixie: of another)"
	@echo "make deb-test    its life in a clean system: install, run, upgrade, remove, purge (as root)"
	@echo "make install     $(VENV) with everything (the other targets call it)"
	@echo "make tools       Debian packages that some tests use (as root)"
	@echo "make clean       removes $(VENV) and everything that was generated"

install: $(STAMP)

# setuptools comes from constraints.txt too, so the build is not isolated; the compat mode puts the
# checkout on sys.path, without which twistd would not find twisted/plugins from other directories.
$(STAMP): setup.cfg pyproject.toml constraints.txt timecoin/__init__.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "make: Python 3.11 or newer is needed; name one with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "make: Python has no venv; on Debian: sudo apt-get install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/pip || { echo "making $(VENV)"; rm -rf $(VENV); $(PYTHON) -m venv $(VENV); }
	@echo "installing into $(VENV)"
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt setuptools
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt --no-build-isolation \
	  --config-settings editable_mode=compat -e '.[dev]'
	@$(BIN)/pip check
	@touch $@

demo: install
	@$(BIN)/timecoin-cli demo

devnet: install
	@$(BIN)/timecoin-cli devnet start

test: install
	@$(TRIAL) $(TESTS)

check-long: install
	@TIMECOIN_LONG_TESTS=1 $(TRIAL) $(TESTS)

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy timecoin tests

format: install
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: install
	@$(BIN)/python -m timecoin.rpc.reference docs/rpc.rst

sim: install
	@for profile in $(PROFILES); do \
	  $(BIN)/timecoin-cli sim --profile $$profile --seeds $(SEEDS) $(SIM_OPTIONS) || exit 1; done

# Hours of processor time. In the second part nodes restart daily and two partitions last minutes.
sim-long: install
	@$(MAKE) --no-print-directory sim SEEDS=$(LONG_SEEDS)
	@$(BIN)/timecoin-cli sim --profile days --nodes 7 --minutes $$((60 * $(LONG_HOURS))) \
	  --payments $(LONG_PAYMENTS)

# The report is in .soak/soak.html. Longer, and over other nodes: timecoin-cli soak --help.
soak: install
	@$(BIN)/timecoin-cli soak --start 3 --minutes 3 --payments 20 --out .soak

bench: install
	@mkdir -p build
	@$(BIN)/python benchmarks/signatures.py
	@$(BIN)/python benchmarks/finality.py --plot build/finality.html
	@$(BIN)/python benchmarks/rpc.py

# Coverage-guided, two targets at a time; inputs that find something stay in .fuzz as TARGET-*.
fuzz: install
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[fuzz]' \
	  --no-build-isolation --config-settings editable_mode=compat
	@mkdir -p .fuzz && $(BIN)/python -m tests.fuzz --seeds .fuzz/corpus
	@printf '%s\n' $(FUZZ_TARGETS) | xargs -P2 -I{} bash -c \
	  'if $(BIN)/python -m tests.fuzz {} .fuzz/corpus/{} -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
	     -rss_limit_mb=2048 -max_len=20000 -artifact_prefix=.fuzz/{}- >.fuzz/{}.log 2>&1; \
	   then echo "{}: $$(grep -E "^Done|cov:" .fuzz/{}.log | tail -n 2 | tr "\n" " ")"; \
	   else echo "{}: FAILED, see .fuzz/{}.log"; exit 1; fi'

bench-capacity: install
	@$(BIN)/python benchmarks/capacity.py

bench-heartbeats: install
	@$(BIN)/python benchmarks/heartbeats.py

bench-growth: install
	@mkdir -p build && $(BIN)/python benchmarks/growth.py --plot build/growth.html

bench-floods: install
	@$(BIN)/python benchmarks/floods.py

bench-rpc: install
	@$(BIN)/python benchmarks/rpc.py

# RELEASE=debian/trixie or ubuntu/noble: for another release than this machine's, in a clean system (as root).
deb:
	@$(if $(RELEASE),debian/build-in.sh $(RELEASE),debian/build.sh)

deb-test: deb
	@debian/deb-test.sh $(RELEASE)

# Installs what is missing, and says nothing when nothing is. Daemons among the packages are not started:
# tests run their own.
tools:
	@missing=; for package in $(TOOLS); do \
	  dpkg-query -W -f '$${db:Status-Abbrev}' $$package 2>/dev/null | grep -q '^ii' \
	    || missing="$$missing $$package"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if ! command -v apt-get >/dev/null; then echo "tools: no apt-get here; install$$missing yourself"; \
	elif [ "$$(id -u)" != 0 ]; then echo "tools: not root; run: sudo apt-get install -y$$missing"; \
	else echo "tools: installing$$missing"; policy=/usr/sbin/policy-rc.d; \
	  if [ ! -e $$policy ]; then printf '#!/bin/sh\nexit 101\n' >$$policy && chmod +x $$policy \
	    && trap 'rm -f /usr/sbin/policy-rc.d' EXIT; fi; \
	  apt-get update -q -o Acquire::Retries=3 >/dev/null || true; \
	  DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -q -o Acquire::Retries=3 --no-install-recommends $$missing; fi

# Writes constraints.txt anew from what a fresh environment gets by the ranges of setup.cfg.
pins:
	@rm -rf build/pins && $(PYTHON) -m venv build/pins
	@build/pins/bin/pip install -q --disable-pip-version-check 'setuptools >= 77'
	@build/pins/bin/pip install -q --disable-pip-version-check '.[dev]'
	@sed -i '/^[^#]/d' constraints.txt
	@build/pins/bin/pip list --format=freeze | grep -viE '^(pip|timecoin)==' >> constraints.txt
	@rm -rf build/pins

clean:
	@rm -rf $(VENV) .sim .fuzz .soak build dist *.egg-info _trial_temp* .hypothesis .coverage* .mypy_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@find . -name dropin.cache -delete
