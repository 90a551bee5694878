# SPDX-License-Identifier: Apache-2.0
# The front door; `make help` lists the doors. Everything behind it is meson, ninja and scripts/.
PREFIX  ?= /usr/local
DESTDIR ?=
BUILD   ?= build
MESON    = $(BUILD)/build.ninja

.PHONY: build run test test-long bench bench-hosts fuzz lint install clean help

build: $(MESON)
	@ninja -C $(BUILD)

$(MESON):
	@scripts/setup build
	@meson setup $(BUILD) --prefix $(PREFIX)

run:
	@scripts/setup build run
	@$(MAKE) --no-print-directory build
	@examples/first-run/run $(BUILD)/src/atoll

test:
	@scripts/setup build run test
	@scripts/run-tests

test-long:
	@scripts/setup build run test
	@scripts/run-tests --long

bench:
	@scripts/setup build run test bench
	@$(MAKE) --no-print-directory build
	@bench/start --atoll $(BUILD)/src/atoll
	@bench/run-cost --atoll $(BUILD)/src/atoll
	@bench/workspace --atoll $(BUILD)/src/atoll
	@bench/life --atoll $(BUILD)/src/atoll
	@bench/gateway --atoll $(BUILD)/src/atoll
	@bench/trail --build $(BUILD)

bench-hosts:
	@scripts/setup build run test
	@$(MAKE) --no-print-directory build
	@scripts/bench-hosts

fuzz:
	@scripts/setup build lint
	@scripts/fuzz

lint:
	@scripts/setup build test lint
	@scripts/lint

install: build
	@meson configure $(BUILD) --prefix $(PREFIX)
	@DESTDIR=$(abspath $(DESTDIR)) meson install -C $(BUILD) --strip

clean:
	@rm -rf build build-*

help:
	@echo 'make            build in $(BUILD)/'
	@echo 'make run        set up, build, and run the main job on examples/first-run'
	@echo 'make test       set up and run every test of the CI set'
	@echo 'make test-long  also the races, sweeps and everything else that takes long'
	@echo 'make bench      start-up and run cost beside other sandboxes, the network beside proxies'
	@echo 'make bench-hosts  start-up on control groups of version 2, in an emulated machine'
	@echo 'make fuzz       each fuzz target for FUZZ_SECONDS (60)'
	@echo 'make lint       format, arrows, sizes, globals, clang-tidy'
	@echo 'make install    DESTDIR and PREFIX are honoured'
	@echo 'make clean      remove every build directory'
