# make demo   installs what is missing, builds, and runs the embedded model under a small budget
# make test   the same, and runs the tests
# make check  the slower checks: sanitizers, fuzzers, lint (what CI runs after make test)
# make soak   hours of fuzzing, damaged models and injected faults (HOURS=8)
# make bench  measures this machine with models of some 5 GB (WORK=folder to keep them in)
.PHONY: demo test build setup check soak bench clean

build: setup
	cmake --preset release
	cmake --build --preset release

demo: setup
	cmake --preset release
	cmake --build --preset release --target sluice
	tools/demo.sh build/release/sluice

test: build
	ctest --test-dir build/release --output-on-failure -j 2

setup: build/.dependencies

build/.dependencies: tools/install_dependencies.sh tests/golden/requirements.txt
	tools/install_dependencies.sh
	mkdir -p build && touch $@

check: build
	tools/install_dependencies.sh lint
	tools/check.sh

soak: build
	tools/install_dependencies.sh lint
	tools/soak.sh $(or $(HOURS),8)

bench: build
	tools/install_dependencies.sh bench
	.venv/bin/python bench/suite.py --work $(or $(WORK),build/bench)

clean:
	rm -rf build
