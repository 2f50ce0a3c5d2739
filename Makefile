# make demo   installs what is missing, builds, and runs the embedded model under a small budget
# make test   the same, and runs the tests
# make check  the slower checks: sanitizers, fuzzers, lint (what CI runs after make test)
.PHONY: demo test build setup check clean

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

clean:
	rm -rf build
