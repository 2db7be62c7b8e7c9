# Every command of the repository; `make` alone lists them.

# The tests run on the Python of the images wherever it is installed; PYTHON=<command> chooses another one.
IMAGE_PYTHON := python$(shell sed -n 's/^ARG PYTHON=\([0-9]*\.[0-9]*\).*/\1/p' deploy/docker/Dockerfile)
PYTHON ?= $(shell $(IMAGE_PYTHON) --version >/dev/null 2>&1 && echo $(IMAGE_PYTHON) || echo python3)
ACTIONLINT_VERSION := v1.7.12
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
RELEASE := $(VENV)-release/.installed
AOT_CACHE := $(VENV)/kafka.aot
DOCKER ?= docker
COMPOSE ?= $(DOCKER) compose
TARGETS ?= slim detector train
PROMETHEUS ?= http://127.0.0.1:9090

.DEFAULT_GOAL := help
.PHONY: help install lock demo test lint actionlint types imports tests wheel sbom browser prometheus soak audit bench docs site dashboards pictures image compose-test clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{ printf "make %-12s %s\n", $$1, $$2 }'

# uv unpacks torch and its libraries once for all environments of a user, where pip does it again for each (docs/decisions/0009);
# it asks the index that pip is configured with.
INDEX = $(or $(UV_DEFAULT_INDEX),$(PIP_INDEX_URL),$$($(BIN)/pip config get global.index-url 2>/dev/null))
UV_OPTIONS = --quiet --system-certs --python $(BIN)/python
UV_INSTALL = $(BIN)/uv pip install $(UV_OPTIONS) --compile-bytecode --no-deps

install: $(INSTALLED)  ## create .venv with the project and all extras; TORCH_INDEX='<url>' takes torch from that index

$(BIN)/uv:
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python .ci/lock.py --only uv >$(VENV)/requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $(VENV)/requirements.txt

# Only wheels, only what requirements.lock lists, and each file's hash is checked. The exception is torch from TORCH_INDEX: another
# build of the same version has other hashes. The last line fails when the lock does not cover pyproject.toml.
$(INSTALLED): pyproject.toml requirements.lock .ci/lock.py | $(BIN)/uv
	$(if $(TORCH_INDEX),$(UV_INSTALL) --no-build --default-index $(TORCH_INDEX) $$($(BIN)/python .ci/lock.py --pin torch))
	$(BIN)/python .ci/lock.py $(if $(TORCH_INDEX),--torch elsewhere) all >$(VENV)/requirements.txt
	index=$(INDEX); $(UV_INSTALL) --no-build --require-hashes $${index:+--default-index "$$index"} --requirement $(VENV)/requirements.txt
	$(UV_INSTALL) --no-build-isolation --editable .
	$(BIN)/uv pip check $(UV_OPTIONS)
	@touch $@

lock: $(BIN)/uv  ## write requirements.lock; UPGRADE=all renews every version, UPGRADE=numpy only that one
	index=$(INDEX); $(BIN)/uv pip compile $(UV_OPTIONS) $${index:+--default-index "$$index"} --all-extras --universal --python-version 3.11 \
	  --fork-strategy fewest --generate-hashes --custom-compile-command 'make lock' \
	  $(if $(UPGRADE),$(if $(filter all,$(UPGRADE)),--upgrade,--upgrade-package $(UPGRADE))) \
	  --output-file requirements.lock pyproject.toml >/dev/null

demo: install  ## run a real Kafka, a model and the daemon on 12,500 real events, and account for every event at the end
	@$(BIN)/detector demo

test: lint types imports tests  ## run everything that CI runs
	@echo "The compose file needs a container engine: \`make compose-test\` brings it up and is not part of this."

lint: install actionlint  ## check formatting and lint, of the workflows too
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/zizmor --offline --quiet --strict-collection --persona pedantic .github
	@# Without the two linters that it would run where they happen to be installed: its answer must not depend on the machine.
	@! $(BIN)/actionlint --version 2>/dev/null | grep -qx '$(ACTIONLINT_VERSION)' || \
	  { echo $(BIN)/actionlint; $(BIN)/actionlint -shellcheck= -pyflakes=; }
	$(BIN)/pre-commit validate-config

actionlint: install
	@$(BIN)/actionlint --version 2>/dev/null | grep -qx '$(ACTIONLINT_VERSION)' || \
	  GOBIN=$(abspath $(BIN)) go install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION) || \
	  echo "actionlint $(ACTIONLINT_VERSION) cannot be installed: it needs Go and the Go module proxy. It does not check the workflows this time"

types: install  ## check types: mypy --strict
	$(BIN)/mypy

imports: install  ## check the direction of imports
	$(BIN)/lint-imports --no-logo

browser:  ## install Chromium for the test of the report, as root on Debian
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } || \
	  echo "no Chromium here, and none can be installed: the test that looks at the report will be skipped"

prometheus:  ## install Prometheus, promtool and amtool for the tests of deploy/, as root on Debian
	@{ command -v prometheus && command -v promtool && command -v amtool; } >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends \
	    prometheus prometheus-alertmanager >/dev/null; } || \
	  echo "no Prometheus here, and none can be installed: the tests that ask it will be skipped"

$(AOT_CACHE): $(INSTALLED)
	$(BIN)/python -m tests.aot_cache

tests: install browser prometheus $(AOT_CACHE)  ## run every test, on a real Kafka, with branch coverage
	$(BIN)/coverage erase
	@# Each file is one worker's, the long ones first: what waits for a session to end must not be what is waited for.
	@# A folder of its own: in pytest's shared one, what a killed run of somebody's left behind can fail this one.
	folder=$$(mktemp -d) && $(BIN)/coverage run -m pytest -n 4 --dist loadfile --no-loadscope-reorder --durations=40 \
	  --basetemp="$$folder/pytest" tests/faults tests/e2e tests/training tests/local tests/security tests && rm -r "$$folder"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

soak: install $(AOT_CACHE)  ## run the fault tests: 1 hour, 200 kills of the daemon for each guarantee, 20 of the broker
	folder=$$(mktemp -d) && DETECTOR_SOAK_KILLS=400 DETECTOR_SOAK_BROKER_KILLS=20 DETECTOR_SOAK_MEMORY_MINUTES=10 \
	  $(BIN)/python -m pytest -n 4 --basetemp="$$folder/pytest" tests/faults -rP --show-capture=stdout && rm -r "$$folder"

$(RELEASE): requirements.lock .ci/lock.py
	$(PYTHON) -m venv $(VENV)-release
	$(PYTHON) .ci/lock.py --only uv --only hatchling --only cyclonedx-bom >$(VENV)-release/requirements.txt
	$(VENV)-release/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	  --requirement $(VENV)-release/requirements.txt
	@touch $@

wheel: $(RELEASE)  ## build the sdist and the wheel, in dist/
	rm -rf dist
	$(VENV)-release/bin/uv build --quiet --no-build-isolation --python $(VENV)-release/bin/python --out-dir dist

sbom: wheel  ## build the wheel and its SBOM (CycloneDX), in dist/
	$(PYTHON) .ci/lock.py train local librdkafka >$(VENV)-release/requirements.txt
	@# The lock has no graph of dependencies that starts at the project: the tool would warn that it leaves that out.
	PYTHONWARNINGS=ignore::UserWarning $(VENV)-release/bin/cyclonedx-py requirements --pyproject pyproject.toml \
	  --mc-type application --output-reproducible --output-file dist/detector.cdx.json $(VENV)-release/requirements.txt

audit:  ## list known vulnerabilities of the pinned dependencies; exit code 2 if they cannot be looked up
	@$(PYTHON) -m venv $(VENV)-audit
	@$(PYTHON) .ci/lock.py --only pip-audit >$(VENV)-audit/requirements.txt
	@$(VENV)-audit/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	  --requirement $(VENV)-audit/requirements.txt || \
	  { echo "not audited: pip-audit cannot be installed here"; exit 2; }
	@$(VENV)-audit/bin/python .ci/audit.py

bench: install  ## run the benchmarks for half an hour (BENCH=--quick: shorter), write benchmarks/results/latest.json
	$(BIN)/python -m benchmarks.run $(BENCH)

docs: install  ## write the reference pages that are generated from the code
	for page in settings metrics command_line log_events; do $(BIN)/python docs/$${page}_reference.py || exit 1; done

site: install  ## build the documentation as a site, in site/
	$(BIN)/mkdocs build --strict

dashboards: install  ## write Grafana's JSON, from deploy/grafana/source
	$(BIN)/python -m deploy.grafana.source

pictures: install  ## draw docs/pictures of both dashboards, from the Prometheus of a running stack
	$(BIN)/python deploy/grafana/pictures.py $(PROMETHEUS)

image:  ## build the images, print their sizes; TORCH_INDEX='<url>' takes torch from that index, TARGETS=slim builds one
	@for target in $(TARGETS); do \
	  $(DOCKER) build --quiet --file deploy/docker/Dockerfile --target $$target --tag detector:$$target \
	    --build-arg TORCH_INDEX=$(TORCH_INDEX) --build-arg REVISION=$$(git rev-parse HEAD) \
	    --build-arg VERSION=$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' detector/__init__.py) . >/dev/null || exit 1; \
	done
	@$(DOCKER) images detector --format '{{.Repository}}:{{.Tag}}  {{.Size}}'

compose-test: install  ## test the compose files on a container engine; not part of `make test`
	COMPOSE="$(COMPOSE)" DOCKER="$(DOCKER)" $(BIN)/python -m tests.compose.run

clean:  ## remove what the other targets made
	rm -rf $(VENV) $(VENV)-audit $(VENV)-release dist benchmarks/peers/.venvs .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*
