# Everything runs in .venv/. `make demo` and `make test` need nothing but Python 3.11 or newer.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' > /dev/null 2>&1 && echo $$p && break; done)
BIN := .venv/bin
STAMP := .venv/.installed

CHECKS := check-style check-types check-layers check-sql check-deploy check-documents
.PHONY: $(CHECKS) help install demo test check format bench bench-ingest bench-model soak services services-stop services-status scenario-pages screenshot reference clean

help:
	@echo 'make demo           the whole system on this machine: embedded database and broker, simulated city, map'
	@echo 'make test           every test that can run here; names what it skipped and why'
	@echo 'make check          static checks (make -k check goes on after a failure)'
	@echo 'make bench          benchmarks, the short form of each'
	@echo 'make bench-ingest   queue to committed rows, beside bare paho and bare COPY (about 20 minutes; ARGS="--messages 50000 --runs 1")'
	@echo 'make bench-model    scoring and training: seconds by phase, memory, growth (a few minutes; ARGS="--segments 8000 80000")'
	@echo 'make soak           half an hour of faults at random, with a report (ARGS="--minutes 5")'
	@echo 'make services       real TimescaleDB and Mosquitto for the tests (Debian, root); make services-stop ends them'
	@echo 'make install        only the environment, .venv/'

install: $(STAMP)

# Editable: sources take effect at once, so only new dependencies need another install.
$(STAMP): pyproject.toml constraints.txt $(wildcard deploy/install_ui_libraries.py deploy/ui-libraries.json)
	@test -n "$(PYTHON)" || { echo 'make: Python 3.11 or newer with venv is needed (on Debian: python3-venv; or set PYTHON=...).' >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,report,dev]'
	command -v npm > /dev/null 2>&1 || $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[ui]'
	$(BIN)/python deploy/install_ui_libraries.py
	@touch $(STAMP)

demo: install
	$(BIN)/roadtwin demo $(ARGS)

# Three at a time also on two cores: much of a test is waiting for a broker, a database or a process that was killed.
# A broker that is named is shared by all of them, so then there is one. In the order of tests/conftest.py: long files
# (whole demos, faults) begin first, and the many short ones of tests/unit fill up the end.
TEST_PROCESSES ?= $(if $(ROADTWIN_TEST_MQTT_URL),1,3)

# Idle threads of BLAS and OpenMP spin: with three processes on two cores they take more time than they save.
test: export OMP_NUM_THREADS ?= 1

test: install
	$(BIN)/pytest -q -ra -o faulthandler_timeout=300 -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

check: $(CHECKS)

check-style: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-types: install
	$(BIN)/mypy
	$(BIN)/mypy deploy/*.py

check-layers: install
	$(BIN)/lint-imports

check-sql: install
	$(BIN)/squawk --config .squawk.toml roadtwin/storage/migrations/*.sql

check-deploy: install
	$(BIN)/python deploy/check_compose.py

check-documents: install
	$(BIN)/python deploy/check_documents.py

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install
	$(BIN)/python -m benchmarks.model --no-training
	$(BIN)/python -m benchmarks.receive
	$(BIN)/python -m benchmarks.journal
	$(BIN)/python -m benchmarks.digest
	$(BIN)/python -m benchmarks.matching
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.recording
	$(BIN)/python -m benchmarks.device_feed
	$(BIN)/python -m benchmarks.simulate --short
	$(BIN)/python -m benchmarks.ingest_rate --messages 50000 --runs 1

bench-ingest: install
	$(BIN)/python -m benchmarks.ingest_rate $(ARGS)

bench-model: install
	$(BIN)/python -m benchmarks.model $(ARGS)

soak: install
	$(BIN)/python -m tests.faults.soak $(ARGS)

services: install
	$(BIN)/python deploy/debian_services.py start

services-stop:
	$(BIN)/python deploy/debian_services.py stop

services-status:
	$(BIN)/python deploy/debian_services.py status

scenario-pages: install
	$(BIN)/python deploy/scenario_pages.py $(ARGS)

screenshot: install
	$(BIN)/python deploy/screenshot.py

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
