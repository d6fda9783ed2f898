# Everything runs in .venv, which `make` sets up by itself and only once.
# Works with GNU make 3.81 (macOS) and later.

ARGS ?=
PYTHON ?=

VENV  := .venv
STAMP := $(VENV)/.complete
BIN   := $(VENV)/bin

# Sets the shell's $python3. A pyenv shim may stand for a Python that is not there, so the first
# one that runs is taken.
FIND_PYTHON3 = python3=$$(for p in python3 python /usr/bin/python3; do \
		"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null && \
		echo "$$p" && break; done); \
	test -n "$$python3" || { echo "error: no Python 3.8 or later found; install one" >&2; exit 1; }

UV := $(shell command -v uv 2>/dev/null)
ifeq ($(UV),)
UV := .uv/bin/uv
$(STAMP) lock: | $(UV)
endif

.DEFAULT_GOAL := help
.PHONY: help run kubeflow test test-all bench lint format lock venv setup clean FORCE

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo 'ARGS="…" goes to the command that is run; PYTHON=3.12 asks for that Python.'

run: $(STAMP) ## Run the pipeline on this machine, ARGS="--surgery none --epochs 2" …
	@$(BIN)/python pipelines/local_runner.py $(ARGS)

IMAGE ?= registry.example.com/tfx-pcgrad:1
BUCKET ?= gs://my-bucket

kubeflow: $(STAMP) ## Compile for Kubeflow and Vertex AI, IMAGE=… BUCKET=gs://…, see docs/kubeflow.md
	@$(BIN)/python pipelines/kubeflow_runner.py --target kfp --image "$(IMAGE)" \
		--pipeline-root minio://mlpipeline/v2/artifacts \
		--volume models=/mnt/models --push-destination /mnt/models/taxi $(ARGS)
	@$(BIN)/python pipelines/kubeflow_runner.py --target vertex --image "$(IMAGE)" \
		--pipeline-root "$(BUCKET)/taxi" $(ARGS)

# A worker takes 2 to 3 GB; the tests of a file share what is expensive to make. The files are in
# the order of tests/conftest.py.
PYTEST := $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile \
	--no-loadscope-reorder

test: $(STAMP) ## Run the tests, without the slow ones
	$(PYTEST) $(ARGS)

# A Debian 13 root has the newest stack; without root rights it says that nothing was run there.
test-all: $(STAMP) ## Run all tests, on both stacks
	$(PYTEST) -m "" $(ARGS)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		tools/debian13.sh make test-all ARGS='$(ARGS)' || [ $$? = 75 ]

bench: $(STAMP) ## Time the training step against others; an hour or two, ARGS="--networks a" …
	$(BIN)/python benchmarks/steps/step_time.py $(ARGS)

lint: $(STAMP) ## Check style, format, types and the Dockerfile
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile

format: $(STAMP) ## Format the code and make the safe fixes
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: ## Pin the dependencies of all stacks again, ARGS=--upgrade for newer ones
	"$(UV)" pip compile --quiet --universal pyproject.toml --all-extras --python-version 3.10 \
		--custom-compile-command "make lock" -o requirements.lock $(ARGS)
	echo 'tensorflow[and-cuda]' | "$(UV)" pip compile --quiet --universal - --no-annotate \
		--constraint requirements.lock --python-version 3.10 \
		--custom-compile-command "make lock" -o requirements-gpu.lock $(ARGS)

setup: $(STAMP) ## Only set up .venv

venv: setup

clean: ## Remove what make and the tools made; the output of runs stays
	rm -rf $(VENV) .uv .prism .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Another Python than the one that .venv has was asked for.
ifneq ($(PYTHON),)
ifeq ($(wildcard $(BIN)/python$(PYTHON)),)
$(STAMP): FORCE
endif
endif

# The stamp lies in the folder that goes first, so an interrupted set-up starts again.
$(STAMP): requirements.lock pyproject.toml tools/select_stack.py
	@$(FIND_PYTHON3); \
	python=$$("$$python3" tools/select_stack.py --uv "$(UV)" --python "$(PYTHON)") && \
	rm -rf $(VENV) && \
	echo "Setting up $(VENV) (once; some 200 packages, 3 GB)" >&2 && \
	"$(UV)" venv --quiet --managed-python --seed --python "$$python" $(VENV) && \
	"$(UV)" pip sync --quiet --compile-bytecode --python $(BIN)/python requirements.lock && \
	"$(UV)" pip install --quiet --python $(BIN)/python --no-deps --editable . && \
	touch $@

.uv/bin/uv:
	@$(FIND_PYTHON3); \
	"$$python3" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "error: $$python3 cannot make virtual environments; install its venv module" \
			"(Debian, Ubuntu: apt-get install python3-venv) or uv" >&2; exit 1; }; \
	echo "Installing uv into .uv" >&2; \
	"$$python3" -m venv --clear .uv && .uv/bin/python -m pip install --quiet 'uv>=0.8,<1'
