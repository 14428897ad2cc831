# Two commands on a fresh machine: `make demo` runs the main job on real data, `make test` passes the tests.
.DEFAULT_GOAL := help
.PHONY: help build demo test python lint bench chaos mutants planted libtorch

NEXTEST := 0.9.143
BINARY := target/release/tradewind
DEMO_HOME ?= .tradewind

help: ## Lists the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

libtorch: ## Installs libtorch into .libtorch/ (540 MB download, cached)
	@python3 scripts/libtorch.py

build: libtorch ## Builds target/release/tradewind
	cargo build --release --locked --package cli

demo: build ## Trains, judges, serves and paper-trades on the bundled data, then prints where the report is
	@scripts/demo.sh $(BINARY) $(DEMO_HOME)

test: libtorch ## Runs every test, and the repository's own checks
	@cargo nextest --version >/dev/null 2>&1 || cargo install --locked --version $(NEXTEST) cargo-nextest
	TRADEWIND_POSTGRES_BIN=$$(python3 scripts/postgres.py) TRADEWIND_S3_SERVER=$$(python3 scripts/s3.py) \
		cargo nextest run --release --locked --workspace
	cargo xtask tidy
	@python3 scripts/python_envs.py

python: libtorch ## Builds the wheel of tradewind_envs into target/wheels/ and tests it in .venv/
	@python3 scripts/python_envs.py

lint: libtorch ## Checks format and lints
	cargo fmt --all -- --check
	cargo clippy --release --locked --workspace --all-targets -- -D warnings

bench: build ## Measures, as JSON lines
	@python3 scripts/bench.py $(BINARY)

chaos: build ## Disturbs a sweep with random kills; FAULTS=10
	@python3 scripts/chaos.py $(BINARY) --faults $(or $(FAULTS),10)

mutants: libtorch ## Breaks one rule of learning at a time and shows that the tests notice (an hour)
	@python3 scripts/mutants.py

planted: ## Plants one bug at a time in the scheduler and counts the simulated worlds that find it
	@python3 scripts/planted.py
