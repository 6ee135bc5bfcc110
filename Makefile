# Each target works on a fresh machine: it makes .venv and installs what it needs, quietly, once.
#
#   make demo    a real IOC, real clients, and epicsmon watching both
#   make test    everything this machine can run; says what it skipped and why
#   make lint    ruff, mypy --strict, import contracts
#   make bench   what the probes and the put log cost, on real IOCs

PYTHON_ENV := .venv/bin/python
# Workers of pytest-xdist; WORKERS=0 runs in one process.
WORKERS ?= 2
TESTS ?= tests

.PHONY: demo test bench lint typing-tree clean

demo:
	@.ci/setup demo mounts
	@.venv/bin/epicsmon demo $(DEMO_ARGS)

test:
	@.ci/setup develop mounts tools
	@$(PYTHON_ENV) -m pytest -q -n $(WORKERS) --dist loadgroup $(TESTS) $(PYTEST_ARGS)

bench:
	@.ci/setup develop mounts
	@$(PYTHON_ENV) -m bench $(BENCH_ARGS)

lint: typing-tree
	@.venv/bin/ruff check .
	@MYPYPATH=.build/typing .venv/bin/mypy --cache-dir .build/mypy -p pybpf -p epicsmon
	@MYPYPATH=.build/typing:. .venv/bin/mypy --cache-dir .build/mypy-tests --explicit-package-bases tests/support tests/conftest.py bench
	@$(PYTHON_ENV) -m pytest -q -p no:xdist tests/unit/contracts

# programs/ is installed as epicsmon.programs; mypy reads files, not installations: show it the tree as installed.
typing-tree:
	@.ci/setup develop
	@mkdir -p .build/typing/epicsmon
	@ln -sfn ../../pybpf .build/typing/pybpf
	@for entry in src/epicsmon/* programs; do ln -sfn ../../../$$entry .build/typing/epicsmon/; done
	@find .build/typing -xtype l -delete

clean:
	@rm -rf .build .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist src/*.egg-info
