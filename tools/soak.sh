#!/usr/bin/env bash
# Hours of fuzzing, damaged models and injected faults: what CI does for minutes. `make soak` runs it.
#   tools/soak.sh [HOURS] [FIRST]    (default: 8 hours; damaged models from number FIRST on, default 1000000)
# Half of the time goes to the fuzzers, half to damaged models; then every fault is injected once. The summary
# is build/soak/summary.txt, the findings are beside it and in build/fuzz. Fails if there are any.
set -euo pipefail
cd "$(dirname "$0")/.."
hours=${1:-8}
first=${2:-1000000}
out=build/soak
rm -rf "$out"
mkdir -p "$out"
summary=$out/summary.txt
failed=0
half=$(awk "BEGIN {print int($hours * 1800)}")

note() { echo "$*" | tee -a "$summary"; }

note "soak of $hours hours, $(git rev-parse --short HEAD), $(nproc) cores, $(date -u +%FT%TZ)"

fuzzers=$(git ls-files 'src/*_fuzz.cc' | wc -l)
each=$((half * $(nproc) / fuzzers))
note "== fuzzers, $each s each"
tools/fuzz.sh "$each" >"$out/fuzz.log" 2>&1 || failed=1
grep -E '_fuzz: ' "$out/fuzz.log" | tee -a "$summary" || true

note "== damaged models"
cmake --preset asan >/dev/null
cmake --build build/asan --target model_mutants
checkpoints=build/release/checkpoints
.venv/bin/python tests/golden/make_checkpoints.py "$checkpoints"
batch=5000
cases=0
SECONDS=0
while [[ $SECONDS -lt $half ]]; do
  build/asan/tests/model_mutants "$checkpoints" --first $((first + cases)) --cases $batch >"$out/mutants.log" 2>&1 || {
    failed=1
    cat "$out/mutants.log" >>"$out/findings.log"
  }
  if ! grep -q '^| all ' "$out/mutants.log"; then  # it did not get to its last line
    note "model_mutants broke off: see $out/findings.log"
    failed=1
    break
  fi
  cases=$((cases + batch))
done
findings=$(cat "$out/findings.log" 2>/dev/null | grep -c FINDING || true)
note "$cases damaged files from number $first on, $findings findings"

note "== faults, every one"
shim=$PWD/build/release/tests/libfault_shim.so
SLUICE_FAULT_STRIDE=1 build/release/tests/faults_test >"$out/faults.log" 2>&1 || failed=1
grep -E '^\|' "$out/faults.log" | tee -a "$summary" || true
SLUICE=$PWD/build/release/sluice SLUICE_FAULT_SHIM=$shim .venv/bin/python tests/command_faults_test.py \
  >"$out/command_faults.log" 2>&1 || failed=1
grep -E ' x error' "$out/command_faults.log" | tee -a "$summary" || true

note "$([[ $failed -eq 0 ]] && echo "nothing found" || echo "SOMETHING WAS FOUND: see $out and build/fuzz")"
exit $failed
