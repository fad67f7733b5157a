# Windlass: every task of a developer. `make` alone lists them.
# The scripts bring what is missing on this machine and skip what is there, so each target works from a fresh clone.

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# rustup looks for its toolchains in HOME. Where HOME was moved, as some CI systems do, they are still beside cargo.
# (The folder .rustup alone proves nothing: rustup makes an empty one when it is asked.)
ifeq ($(RUSTUP_HOME)$(wildcard $(HOME)/.rustup/toolchains),)
  rustup_beside_cargo := $(wildcard $(abspath $(dir $(shell command -v cargo))../../.rustup/toolchains))
  ifneq ($(rustup_beside_cargo),)
    export RUSTUP_HOME := $(rustup_beside_cargo:/toolchains=)
  endif
endif

.PHONY: help setup setup-build setup-docker setup-test setup-examples setup-pipelines setup-signers setup-sockets setup-oidc setup-schemathesis setup-vendors setup-around setup-bench build demo demo-stop check check-format check-warnings test crash fuzz schemathesis bench fmt

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: setup-build setup-docker setup-test ## bring everything that building, the demo and the tests need

setup-build:
	@scripts/setup-build.sh

setup-docker:
	@scripts/setup-docker.sh
	@scripts/setup-compose.sh

setup-test:
	@scripts/setup-test.sh

# Plugins in other languages are built where their tool chains can be had; else their tests say that they were skipped.
setup-examples:
	@scripts/setup-examples.sh

# What checks generated pipelines; a test whose tool cannot be had says that it was skipped.
setup-pipelines:
	@scripts/setup-pipelines.sh

# Libraries that sign webhooks, to agree with.
setup-signers:
	@scripts/setup-signers.sh

# The client that dashboards and scripts speak Socket.IO with.
setup-sockets:
	@scripts/setup-sockets.sh

# An OpenID provider to log in through; where it cannot be had, its tests say that they were skipped.
setup-oidc:
	@scripts/setup-oidc.sh

# It asks the server whatever its OpenAPI document allows.
setup-schemathesis:
	@scripts/setup-schemathesis.sh

# Where Prism or a client cannot be had, the tests with it say that they were skipped.
setup-vendors:
	@scripts/setup-vendors.sh

setup-bench:
	@scripts/setup-bench.sh

build: setup-build ## compile the server to target/release/windlass
	cargo build --release --locked -p windlass

demo: setup-build setup-docker ## the main job, for real: git pushes become deployments
	cargo build --release --locked -p windlass
	@scripts/demo.sh

demo-stop: ## stop the demo's server and remove its files
	@scripts/demo.sh stop

check: check-format ## formatting and lints, as CI has them
	cargo clippy --workspace --all-targets --locked -- -D warnings

check-format: setup-build
	cargo fmt --all --check

# What the compiler said of everything that the tests have had compiled.
check-warnings:
	@scripts/warnings.sh

# What the tests need beside the program; it is brought while that compiles.
setup-around: setup-docker setup-test setup-examples setup-pipelines setup-signers setup-sockets setup-oidc setup-schemathesis setup-vendors

test: setup-build ## all the tests, against a real Docker Engine, PostgreSQL and a browser
	@scripts/test.sh

crash: setup ## kill the server at every point of every scenario, where `make test` does so in most of them
	@WINDLASS_CRASH=everywhere scripts/test.sh crash

schemathesis: setup-build setup-schemathesis ## ask the API for whatever its document allows, more than 20,000 times
	cargo build --workspace --locked
	SCHEMATHESIS_EXAMPLES=150 SCHEMATHESIS_LEAST=20000 cargo test --workspace --locked --test schemathesis -- --nocapture

fuzz: setup-build ## drive the parsers of outside input with libFuzzer, a minute each; `make fuzz SECONDS=600 TARGETS="remote names"`
	@scripts/fuzz.sh $(or $(SECONDS),60) $(TARGETS)

# Server and benchmark are compiled in one go: cargo would choose other features of the dependencies for each of them, and
# compile nearly everything twice.
bench: setup setup-bench ## the benchmarks, of the release program; `make bench ARGS=cutovers` for one of them, `ARGS=--json` for programs
	cargo build --release --locked -p windlass -p windlass-tests --bin windlass --bin bench --bin visited
	WINDLASS_PROGRAM=target/release/windlass target/release/bench $(ARGS)

fmt: ## format the Rust code
	cargo fmt --all

# apt and the compiler use a machine fully by themselves; two setups at once would only wait for each other.
.NOTPARALLEL:
