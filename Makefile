# Each target sets up what it needs. You need Python 3.13, git and make.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3.13
PORT ?= 4566
ENV ?= dev

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0
export PYTHONPATH := $(CURDIR):$(CURDIR)/cli
unexport PYTHONDONTWRITEBYTECODE # without bytecode files, every process compiles everything that it imports

LOCK := requirements-dev.txt
SOURCES := template.yaml observability.yaml samconfig.toml $(shell find functions layers statemachine -type f -not -path '*/__pycache__/*')

# The text after ## is what `make help` prints.
.PHONY: help demo demo-org test test-all test-fast test-model faults assumptions interleavings at-once local live-check live-check-clean live-check-proof sam-local deploy audit models lint lint-python lint-template format update lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .aws-sam/build/template.yaml ## Show the life of an access on the embedded AWS, from a request to the revoked grant
	@python -m local_aws.demo

demo-org: .aws-sam/build/template.yaml ## Show two accounts in two Regions with one central bus on the embedded AWS
	@python -m local_aws.demo_org

test: .aws-sam/build/template.yaml ## Run the whole test suite, except the tests in containers
	python -m pytest tests/unit tests/policies --cov --cov-report=term -n 2
	python -m pytest tests --ignore=tests/unit --ignore=tests/policies --ignore=tests/sam_local --ignore=tests/audit -n 3 --dist loadscope

test-all: .aws-sam/build/template.yaml ## Run `make test` without samples: every fault, every step, every concurrent request
	WHOLE=1 $(MAKE) --no-print-directory test

test-fast: .aws-sam/build/template.yaml ## Run the tests that need no embedded AWS: unit, policies, contract and functions
	python -m pytest tests/unit tests/policies tests/cli tests/contract tests/functions -n 2 --dist loadscope

test-model: .venv/ready ## Run the grant clean-up through 50,000 steps of random histories
	WHOLE=1 python -m pytest tests/model/test_grant_clean_up.py -k no_history --show-capture=no

faults: .aws-sam/build/template.yaml ## Fail every AWS call of an onboarding or a rotation in every way, and print the outcomes
	@rm -f .aws-sam/faults.tsv
	WHOLE=1 FAULT_TABLE=.aws-sam/faults.tsv python -m pytest tests/workflow/test_faults.py tests/workflow/test_rotation_faults.py
	@column -t -s "$$(printf '\t')" .aws-sam/faults.tsv

assumptions: .aws-sam/build/template.yaml ## Run the workflow tests under each value of each switch of the embedded AWS (ONLY=switch or ONLY=switch=value)
	python tools/try_assumptions.py $(addprefix --only ,$(ONLY))

interleavings: .aws-sam/build/template.yaml ## Hold a request at every AWS call while another runs, and fail either at every later call
	EVERY_INTERLEAVING=1 python -m pytest tests/workflow/test_interleavings.py --capture=no

at-once: .aws-sam/build/template.yaml ## Send 100 requests for one key at once to an account that can run ten functions
	WHOLE=1 python -m pytest tests/workflow/test_at_once.py --capture=no --timeout=900

local: .aws-sam/build/template.yaml ## Start the embedded AWS with the stack deployed, in the foreground (PORT=4566)
	@exec python -m local_aws --port $(PORT) --deploy --develop

sam-local: .aws-sam/build/template.yaml ## Run every function in its container (MAY_INSTALL=yes installs a missing Docker engine)
	@python -m local_aws.containers python -m pytest tests/sam_local --timeout=900

live-check: .venv/ready ## Try what AWS does not document in your account, and write a report (asks before it creates anything)
	@python -m live_check

live-check-clean: .venv/ready ## Remove what a run of live-check left in your account
	@python -m live_check --clean

live-check-proof: .venv/ready ## Let live-check find every value of every switch of the embedded AWS, and print a table
	@mkdir -p .aws-sam && printf 'switch\tvalue\tfound\tpoint\ttime\n' > .aws-sam/live-check.tsv
	@EVERY_ASSUMPTION=1 ASSUMPTION_TABLE=.aws-sam/live-check.tsv python -m pytest tests/live_check/test_values_of_switches.py; \
		status=$$?; column -t -s "$$(printf '\t')" .aws-sam/live-check.tsv; exit $$status

deploy: .venv/ready ## Check, build and deploy to an AWS account (ENV=dev, an environment of samconfig.toml; ARCHITECTURE=arm64)
	@python -m tools.deploy '$(ENV)' $(if $(ARCHITECTURE),--architecture '$(ARCHITECTURE)')

audit: .aws-sam/build/template.yaml .venv-audit/ready ## Compare policies, state machines and templates with AWS's own data and limits
	@PYTHONPATH=layers/latchkey:. python -m tools.audit
	python -m pytest tests/audit

models: .venv/ready ## Compare the newest AWS API models of the operations that Latchkey calls with the pinned ones
	@python tools/compare_models.py

lint: .venv/ready ## Run all linters and type checks
	ruff check .
	ruff format --check .
	python tools/format_asl.py --check
	$(MAKE) --jobs=2 --output-sync lint-python lint-template

lint-python: ## Run mypy and check the imports between packages
	mypy
	PYTHONPATH=layers/latchkey:cli:. lint-imports

lint-template: ## Run cfn-lint and sam validate
	cfn-lint template.yaml observability.yaml subscriber.yaml central.yaml stackset.yaml live_check/template.yaml
	sam validate --lint

format: .venv/ready ## Format the Python code and the state machine definitions
	ruff check --fix .
	ruff format .
	python tools/format_asl.py

update: .aws-sam/build/template.yaml ## Rewrite the golden policies, the schemas and the role tables that tests compare
	python -m pytest tests/policies tests/contract tests/workflow/test_roles.py --update

lock: .venv/ready .venv-audit/ready ## Pin the dependencies, with hashes and without a registry address
	uv pip compile -q --generate-hashes --no-emit-index-url --no-header requirements-dev.in -o $(LOCK)
	uv pip compile -q --generate-hashes --no-emit-index-url --no-header -c $(LOCK) \
		layers/latchkey/requirements.in -o layers/latchkey/requirements.txt
	uv pip compile -q --generate-hashes --no-emit-index-url --no-header \
		local_aws/runtime/requirements.in -o local_aws/runtime/requirements.txt
	uv pip compile -q --generate-hashes --no-emit-index-url --no-header \
		tools/audit/requirements.in -o tools/audit/requirements.txt
	cd tools/audit && ../../.venv-audit/bin/npm install --package-lock-only

clean: ## Delete everything that make created
	rm -rf .aws-sam .venv .venv-audit tools/audit/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/ready: $(LOCK)
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation --editable .
	@touch $@

# Tools that do not fit .venv, and Node.js for the npm packages.
.venv-audit/ready: tools/audit/requirements.txt tools/audit/package-lock.json
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tools/audit/requirements.txt
	cd tools/audit && ../../.venv-audit/bin/npm ci --silent
	@touch $@

# `make deploy` builds into a folder of its own, so it does not replace what the tests and `make local` run. A build replaces the
# former one only when it is complete, so that what runs meanwhile finds one.
.aws-sam/build/template.yaml: .venv/ready $(SOURCES)
	@unfinished=.aws-sam/unfinished-$$$$ && trap "rm -rf $$unfinished" EXIT && \
		sam build --config-env local --build-dir $$unfinished && rm -rf .aws-sam/build && mv $$unfinished .aws-sam/build
	@touch $@
