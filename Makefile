# The README's two commands are `make demo` and `make test`; both set up what is missing.
PY := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: demo lab lab-vms test test-vms setup lint unit

setup:
	@packaging/setup

demo: setup
	@examples/demo

lab: setup
	@examples/lab/lab up

lab-vms:
	@packaging/setup vms
	@examples/lab/lab up --vms

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

unit: setup
	$(PY) -m pytest -q tests/unit

test: lint
	$(PY) -m pytest -q tests/unit
	$(PY) -m pytest -q -n 2 --dist loadfile tests/simulation tests/conformance tests/integration tests/chaos

# In a virtual machine of its own kernel, with version 2 control groups: four minutes, more on a busy machine.
test-vms:
	@packaging/setup vms
	$(PY) -m pytest -q tests/vms
