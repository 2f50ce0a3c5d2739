#!/usr/bin/env bash
# The slower checks, which CI runs after `make test`: format, lint, sanitizers, fuzzers, and the
# witness of the golden files. Needs tools/install_dependencies.sh lint.
#   tools/check.sh [format] [lint] [asan] [tsan] [fuzz] [example] [witness]   (default: all)
set -euo pipefail
cd "$(dirname "$0")/.."
if [[ ${1:-} == --only ]]; then  # one check, in a process of its own: `set -e` holds inside it
  only=$2
  set --
fi
checks=("$@")
[[ $# -gt 0 ]] || checks=(format lint asan tsan fuzz example witness)
fuzz_seconds=${FUZZ_SECONDS:-60}
failed=()

sources() { git ls-files '*.cc' '*.h' '*.inc' '*.inl'; }

check_format() { sources | grep -v '\.inc$' | xargs clang-format-14 --dry-run -Werror; }

# clang-tidy spends its time in third-party headers: the files of these folders are read as one. Their
# unnamed namespaces must not clash.
lint_together=(base cache cache/eviction checkpoint cli engine plan sim store template tokenizer)

lint_units() {  # one line per compilation
  local folder units=build/lint alone
  # Not tests and benchmarks, and not the kernels, whose target regions clang-tidy 14 cannot follow.
  alone=$(git ls-files 'src/*.cc' | grep -vE '_(test|fuzz|bench)\.cc$|cpu/a(vx|mx)[^/]*\.cc$')
  rm -rf "$units"
  mkdir -p "$units"
  for folder in "${lint_together[@]}"; do
    grep -E "^src/$folder/[^/]*\.cc$" <<<"$alone" |
      sed "s|.*|#include \"$PWD/&\"  // NOLINT(bugprone-suspicious-include)|" >"$units/${folder//\//_}.cc"
    alone=$(grep -vE "^src/$folder/[^/]*\.cc$" <<<"$alone")
  done
  ls -S "$units"/*.cc  # the longest first
  echo "$alone"
}

check_lint() {
  # Flags by hand and not from the build: precompiled headers are GCC's.
  lint_units | xargs -P 2 -I{} clang-tidy-14 --quiet --config-file=.clang-tidy {} -- -std=c++20 \
    -Iinclude -Isrc -DFMT_SHARED -DSLUICE_VERSION='"0"' -DSLUICE_EMBEDDED_MODEL='"rill"' \
    -DSLUICE_POLICIES='"policies"' 2>/dev/null
}

sanitized() {  # sanitized PRESET CTEST_FLAGS...: the unit tests in a sanitizer build
  local preset=$1
  shift
  cmake --preset "$preset" >/dev/null
  cmake --build --preset "$preset"
  # Whole recorded traces are for figures, not for memory errors; they would take most of the time.
  ctest --test-dir "build/$preset" --output-on-failure -j 2 -E 'Reference|SharedTraces|Recall' "$@"
}
check_asan() { sanitized asan -LE process; }
check_tsan() { TSAN_OPTIONS=halt_on_error=1 sanitized tsan -LE 'process|mutants'; }

check_fuzz() { tools/fuzz.sh "$fuzz_seconds"; }

# A user's own CMake project against an installed sluice.
check_example() {
  local prefix=$PWD/build/installed
  cmake --install build/release --prefix "$prefix" >/dev/null
  cmake -S examples/hello -B build/example -G Ninja -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
  cmake --build build/example
  build/example/hello "sort: 4 1 3 =" | tee build/example/output
  grep -q '1 3 4' build/example/output
}

# Are the committed logits and prompts still what Transformers says?
check_witness() {
  tools/install_dependencies.sh torch
  .venv/bin/python tests/golden/make_checkpoints.py build/release/checkpoints
  .venv/bin/python tests/golden/make_format_vectors.py tests/golden/formats.safetensors --check
  .venv/bin/python tests/golden/make_quantizer_vectors.py tests/golden/quantizers.safetensors --check
  .venv/bin/python tests/golden/make_goldens.py build/release/checkpoints tests/golden --check
  .venv/bin/python tests/golden/make_template_cases.py tests/golden/templates.json --check
  .venv/bin/python tests/tokenizer/make_fixtures.py --check
  .venv/bin/python tests/tokenizer/make_splits.py --check
}

if [[ -n ${only:-} ]]; then
  "check_$only"
  exit
fi
for check in "${checks[@]}"; do
  echo "=== $check"
  SECONDS=0
  if bash "$0" --only "$check"; then
    echo "=== $check passed in $SECONDS s"
  else
    echo "=== $check FAILED after $SECONDS s"
    failed+=("$check")
  fi
done
echo "$((${#checks[@]} - ${#failed[@]})) passed, ${#failed[@]} failed"
[[ ${#failed[@]} -eq 0 ]]
