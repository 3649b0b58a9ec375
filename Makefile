# Targets are grouped; a line that ends in `## sentence` is shown by `make help`.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

PYTHON ?= $(shell .ci/find_python)
VENV := .venv
BIN := $(VENV)/bin
SET_UP := $(VENV)/.set-up
SUBMIT := $(BIN)/spark-submit --properties-file conf/spark-local.properties

SEED ?= 0
SCENARIO ?= demo
DAYS ?=
ROOT ?= .lakehouse/main
QUERY ?=
PORT ?= 10000
SEEDS ?= 20
SCENARIOS ?= demo gradual recurring
POLICIES ?=
REPLAY ?=
FAMILIES ?=
SPAN ?=
KILLS ?= 200
PIECES ?= 2000000
BY ?=

export QUERY
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYSPARK_PYTHON := $(CURDIR)/$(BIN)/python

##@ Use
.PHONY: help demo dashboard explore policy mlflow sql sql-server wheel
help: ## Shows this.
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(SET_UP) ## Sets up, then runs six weeks of a glass works through the whole pipeline (SEED=, SCENARIO=, DAYS=).
	@.ci/check_prerequisites $(BIN)/python
	@mkdir -p .lakehouse
	@$(SUBMIT) jobs/demo.py --scenario $(SCENARIO) --seed $(SEED) $(if $(DAYS),--days $(DAYS)) 2> .lakehouse/demo.log \
		|| { tail -n 20 .lakehouse/demo.log >&2; exit 1; }

dashboard: $(SET_UP) ## Serves the page of one or more lakehouses on 127.0.0.1, renewed when a table moves (ROOT=.lakehouse/demo, PORT=).
	@$(BIN)/python jobs/dashboard.py $(ROOT:%=--root %) --serve $(if $(filter command line environment,$(origin PORT)),--port $(PORT))

explore: $(SET_UP) ## Writes a page of what the data of a lakehouse is like (ROOT=.lakehouse/demo, SPAN="--from 2019-07-19 --compare-to 2019-07-17", BY=).
	@$(BIN)/python jobs/explore.py --root $(ROOT) $(SPAN) $(if $(BY),--by $(BY))

policy: $(SET_UP) ## Compares retraining policies on simulated streams (SEEDS=, SCENARIOS=, POLICIES=, or FAMILIES=all), or a lakehouse's labels (REPLAY=.lakehouse/demo).
	@$(BIN)/python -m jobs.policy $(if $(REPLAY),--replay $(REPLAY),--seeds $(SEEDS) \
		$(if $(FAMILIES),--families $(filter-out all,$(FAMILIES)),--scenarios $(SCENARIOS))) \
		$(if $(POLICIES),--policies $(POLICIES))

mlflow: $(SET_UP) ## Opens MLflow's UI on a lakehouse (ROOT=.lakehouse/demo for the demo's).
	$(BIN)/mlflow server --backend-store-uri sqlite:///$(ROOT)/mlflow/mlflow.db --host 127.0.0.1 --port 5000

sql: $(SET_UP) ## Opens a spark-sql prompt on a lakehouse's tables and views, or answers QUERY="..." (ROOT=.lakehouse/demo).
	@$(BIN)/python jobs/sql.py --root $(ROOT) $(if $(QUERY),--query "$$QUERY")

sql-server: $(SET_UP) ## Serves them to JDBC and ODBC clients, on 127.0.0.1 with a login (ROOT=, PORT=10000).
	@$(BIN)/python jobs/sql_server.py --root $(ROOT) --port $(PORT)

wheel: $(SET_UP) ## Builds dist/*.whl, for `spark-submit --py-files`.
	$(BIN)/pip wheel -q --no-deps --no-build-isolation -w dist .

##@ Develop
.PHONY: setup test test-all test-fast soak cluster-test lint format lock audit clean
setup: $(SET_UP) ## Installs the locked dependencies and Spark's jars, once.

# Each process has a Spark session; tests/conftest.py says which tests go to the same one.
# One that dies fails the run and is not replaced: with files as units, xdist may wait for ever.
TEST := $(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0
test: $(SET_UP) lint ## Sets up, then runs lint, types, import contracts and the tests but the long ones.
	@.ci/check_prerequisites $(BIN)/python
	$(TEST) -m "not long and not soak"

test-all: $(SET_UP) lint ## The same with the long tests: whole pipelines, kills, other processes. CI runs this.
	@.ci/check_prerequisites $(BIN)/python
	$(TEST)

test-fast: $(SET_UP) ## Runs the tests that need no Spark, in seconds.
	$(BIN)/python -m pytest -q -m "not spark and not slow" --numprocesses 2 --dist loadscope

soak: $(SET_UP) ## Runs the tests that take minutes, then kills the demo at every named step and at random, and compares its tables (KILLS=200, SEED=).
	$(BIN)/python -m pytest -q -m soak
	$(BIN)/python -m tests.kills.soak --named --kills $(KILLS) $(if $(filter command line environment,$(origin SEED)),--seed $(SEED))

cluster-test: wheel ## Starts Spark's own master and two workers, runs a night and a backfill on them, kills a worker, compares (PIECES=2000000).
	$(BIN)/python -m tests.cluster.check dist/*.whl --pieces $(PIECES)

lint: $(SET_UP) ## Runs ruff, mypy and the import contracts.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(SET_UP) ## Formats the code.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

LOCKED := --generate-hashes --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --no-emit-find-links -q

lock: $(SET_UP) ## Writes requirements.lock anew from setup.py, one for every Python and system, and uv's own.
	$(BIN)/pip install -q --require-hashes -r .ci/uv.lock
	$(BIN)/uv pip compile setup.py --extra dev $(LOCKED) -o requirements.lock
	echo uv | $(BIN)/uv pip compile - $(LOCKED) -o .ci/uv.lock

audit: $(SET_UP) ## Looks the locked dependencies up among known vulnerabilities, and lists their licences anew.
	$(BIN)/python -m tools.licences
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/pip install -q --disable-pip-version-check pip-audit
	$(VENV)/audit/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r requirements.lock

clean: ## Removes the virtual environment and every local lakehouse.
	rm -rf $(VENV) .lakehouse dist build *.egg-info

# Every file that setting up depends on is named here, so a second call does nothing.
$(SET_UP): requirements.lock setup.py conf/jars.properties .ci/fetch_jars.py .ci/install .ci/uv.lock
	@.ci/check_prerequisites $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	.ci/install $(VENV)
	$(BIN)/spark-submit --properties-file conf/jars.properties .ci/fetch_jars.py $(VENV)/jars \
		2> $(VENV)/jars.log || { tail -n 20 $(VENV)/jars.log >&2; exit 1; }
	@touch $@
