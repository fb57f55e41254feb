# Every target sets up what it needs: Python 3.13 and git suffice.
SHELL := /bin/bash
PYTHON ?= python3.13
PORT ?= 4566
ENV ?= dev

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0
export PYTHONPATH := $(CURDIR)
unexport PYTHONDONTWRITEBYTECODE # every process would compile all that it imports

LOCK := requirements-dev.txt
SOURCES := template.yaml samconfig.toml $(shell find functions layers statemachine -type f -not -path '*/__pycache__/*')

.PHONY: demo test test-model faults local sam-local deploy lint lint-python lint-template format update lock clean

demo: .aws-sam/build/template.yaml ## the main job, from a request on EventBridge to the retired grant
	@python -m local_aws.demo

test: .aws-sam/build/template.yaml ## the whole suite; the pure modules must be covered by their own tests
	python -m pytest tests/unit tests/policies --cov --cov-report=term -n 2
	python -m pytest tests --ignore=tests/unit --ignore=tests/policies --ignore=tests/sam_local -n 3 --dist worksteal

test-model: .venv/ready ## the grant clean-up in 50,000 steps of random histories
	MODEL_STEPS=50000 python -m pytest tests/model/test_grant_clean_up.py -k no_history --show-capture=no

faults: .aws-sam/build/template.yaml ## every kind of failure at every AWS call of an onboarding, and a table of the outcomes
	@rm -f .aws-sam/faults.tsv
	EVERY_FAULT=1 FAULT_TABLE=.aws-sam/faults.tsv python -m pytest tests/workflow/test_faults.py
	@column -t -s "$$(printf '\t')" .aws-sam/faults.tsv

local: .aws-sam/build/template.yaml ## the embedded AWS with the stack deployed, in the foreground; PORT= chooses the port
	@exec python -m local_aws --port $(PORT) --deploy --develop

sam-local: .aws-sam/build/template.yaml ## every function in its container against the embedded AWS; MAY_INSTALL=no installs nothing
	@python -m local_aws.containers python -m pytest tests/sam_local --timeout=900

deploy: .venv/ready ## builds and deploys to a real account; ENV= chooses the environment of samconfig.toml
	@grep -v '^\[local' samconfig.toml | grep -qxF '[$(ENV).deploy.parameters]' || \
		{ echo "ENV=$(ENV) is no environment of samconfig.toml that is deployed to AWS" >&2; exit 2; }
	sam build --config-env $(ENV) && sam deploy --config-env $(ENV)

lint: .venv/ready
	ruff check .
	ruff format --check .
	python tools/format_asl.py --check
	$(MAKE) --jobs=2 --output-sync lint-python lint-template

lint-python:
	mypy
	PYTHONPATH=layers/latchkey:. lint-imports

lint-template:
	cfn-lint template.yaml
	sam validate --lint

format: .venv/ready
	ruff check --fix .
	ruff format .
	python tools/format_asl.py

update: .aws-sam/build/template.yaml ## writes the golden policies, the schemas and the tables of roles that the tests compare
	python -m pytest tests/policies tests/contract tests/workflow/test_roles.py --update

lock: .venv/ready ## pins what the .in files ask for, with hashes and without an index's address
	uv pip compile -q --generate-hashes --no-emit-index-url --no-header requirements-dev.in -o $(LOCK)
	uv pip compile -q --generate-hashes --no-emit-index-url --no-header -c $(LOCK) \
		layers/latchkey/requirements.in -o layers/latchkey/requirements.txt
	uv pip compile -q --generate-hashes --no-emit-index-url --no-header \
		local_aws/runtime/requirements.in -o local_aws/runtime/requirements.txt

clean:
	rm -rf .aws-sam .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/ready: $(LOCK)
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	@touch $@

# Every environment builds the same files, so the tests also accept what `sam build` or `make deploy` has built.
.aws-sam/build/template.yaml: .venv/ready $(SOURCES)
	sam build --config-env local
	@touch $@
