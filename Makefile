# Every command of the repository; `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
AOT_CACHE := $(VENV)/kafka.aot
DOCKER ?= docker
COMPOSE ?= $(DOCKER) compose
TARGETS ?= slim detector train
PROMETHEUS ?= http://127.0.0.1:9090

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types imports tests browser prometheus soak audit bench docs dashboards pictures image compose-test clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{ printf "make %-12s %s\n", $$1, $$2 }'

# uv unpacks torch and its libraries once for all environments of a user, where pip does it again for each (docs/decisions/0009);
# it asks the index that pip is configured with.
INDEX = $(or $(UV_DEFAULT_INDEX),$(PIP_INDEX_URL),$$($(BIN)/pip config get global.index-url 2>/dev/null))
UV_INSTALL = $(BIN)/uv pip install --quiet --system-certs --compile-bytecode --python $(BIN)/python --constraint constraints.txt

install: $(INSTALLED)  ## create .venv with the project and all extras; TORCH_INDEX=<url> takes torch from there

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@# Torch alone: its index has few versions of what it needs, and not those that are pinned.
	$(if $(TORCH_INDEX),$(UV_INSTALL) --no-deps --default-index $(TORCH_INDEX) torch)
	index=$(INDEX); $(UV_INSTALL) $${index:+--default-index "$$index"} --editable '.[all]'
	@touch $@

demo: install  ## a real Kafka, a model, the daemon, 12,500 real events, and the books at the end
	@$(BIN)/detector demo

test: lint types imports tests  ## everything that CI runs
	@echo "The compose file needs a container engine: \`make compose-test\` brings it up and is not part of this."

lint: install  ## formatting and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install  ## mypy --strict
	$(BIN)/mypy

imports: install  ## the direction of imports
	$(BIN)/lint-imports --no-logo

browser:  ## Chromium for the test of the report, where Debian's package manager and its rights are there
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } || \
	  echo "no Chromium here, and none can be installed: the test that looks at the report will be skipped"

prometheus:  ## Prometheus and its promtool for the tests of deploy/, likewise
	@{ command -v prometheus && command -v promtool && command -v amtool; } >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends \
	    prometheus prometheus-alertmanager >/dev/null; } || \
	  echo "no Prometheus here, and none can be installed: the tests that ask it will be skipped"

$(AOT_CACHE): $(INSTALLED)
	$(BIN)/python -m tests.aot_cache

tests: install browser prometheus $(AOT_CACHE)  ## every test, on a real Kafka, with branch coverage
	$(BIN)/coverage erase
	@# Each file is one worker's, the long ones first: what waits for a session to end must not be what is waited for.
	@# A folder of its own: in pytest's shared one, what a killed run of somebody's left behind can fail this one.
	folder=$$(mktemp -d) && $(BIN)/coverage run -m pytest -n 4 --dist loadfile --no-loadscope-reorder --durations=40 \
	  --basetemp="$$folder/pytest" tests/faults tests/e2e tests/training tests/local tests/security tests && rm -r "$$folder"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

soak: install $(AOT_CACHE)  ## the faults again, for an hour: 200 kills of the daemon for each guarantee, 20 of the broker
	folder=$$(mktemp -d) && DETECTOR_SOAK_KILLS=400 DETECTOR_SOAK_BROKER_KILLS=20 DETECTOR_SOAK_MEMORY_MINUTES=10 \
	  $(BIN)/python -m pytest -n 4 --basetemp="$$folder/pytest" tests/faults -rP --show-capture=stdout && rm -r "$$folder"

audit:  ## known vulnerabilities of the pinned dependencies; says so when pip-audit or its sources cannot be had
	@$(PYTHON) -m venv $(VENV)-audit
	@$(VENV)-audit/bin/pip install --quiet --disable-pip-version-check pip-audit==2.10.1 || \
	  { echo "not audited: pip-audit cannot be installed here"; exit 2; }
	@$(VENV)-audit/bin/python .ci/audit.py

bench: install  ## the benchmarks, half an hour: tables, and benchmarks/results/latest.json; BENCH=--quick for a sight of them
	$(BIN)/python -m benchmarks.run $(BENCH)

docs: install  ## the pages of the settings and of the metrics, from the code
	$(BIN)/python docs/settings_reference.py
	$(BIN)/python docs/metrics_reference.py

dashboards: install  ## Grafana's JSON, from deploy/grafana/source
	$(BIN)/python -m deploy.grafana.source

pictures: install  ## docs/pictures of both dashboards, from the Prometheus of a running stack
	$(BIN)/python deploy/grafana/pictures.py $(PROMETHEUS)

image:  ## the images, and their sizes; TORCH_INDEX=<url> takes torch from there, TARGETS=slim builds that one only
	@for target in $(TARGETS); do \
	  $(DOCKER) build --quiet --file deploy/docker/Dockerfile --target $$target --tag detector:$$target \
	    --build-arg TORCH_INDEX=$(TORCH_INDEX) --build-arg REVISION=$$(git rev-parse HEAD) \
	    --build-arg VERSION=$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' detector/__init__.py) . >/dev/null || exit 1; \
	done
	@$(DOCKER) images detector --format '{{.Repository}}:{{.Tag}}  {{.Size}}'

compose-test: install  ## the compose file on a real engine: cold, again, scaled, down, with TLS; no part of `make test`
	COMPOSE="$(COMPOSE)" DOCKER="$(DOCKER)" $(BIN)/python -m tests.compose.run

clean:  ## remove what the other targets made
	rm -rf $(VENV) $(VENV)-audit benchmarks/peers/.venvs .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*
