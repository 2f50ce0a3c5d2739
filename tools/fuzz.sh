#!/usr/bin/env bash
# Builds every fuzzer and runs each for SECONDS, as many at a time as there are cores. They begin with what
# they found here before (build/fuzz/corpus), what is kept in tools/fuzz_corpora, and the seeds that
# tools/fuzz_seeds makes. A finding leaves its input and its log in build/fuzz.
#   tools/fuzz.sh SECONDS
set -euo pipefail
cd "$(dirname "$0")/.."
export seconds=$1
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz

one() {
  local name corpus log
  name=$(basename "$1")
  corpus=build/fuzz/corpus/$name
  log=build/fuzz/$name.log
  mkdir -p "$corpus"
  # Some seeds are made with NumPy, which .venv has.
  [[ ! -f tools/fuzz_seeds/$name.py ]] || .venv/bin/python "tools/fuzz_seeds/$name.py" "$corpus"
  [[ ! -f tools/fuzz_corpora/$name.zip ]] || python3 -m zipfile -e "tools/fuzz_corpora/$name.zip" "$corpus"
  if ! "$1" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=30 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/$name-" "$corpus" >"$log" 2>&1; then
    tail -n 60 "$log"
    echo "$name: FOUND SOMETHING: $log"
    return 1
  fi
  echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") executions," \
    "$(sed -n 's/^stat::peak_rss_mb: *//p' "$log") MiB at most, $(ls "$corpus" | wc -l) inputs kept"
}
export -f one
printf '%s\n' build/fuzz/src/*_fuzz | xargs -P "$(nproc)" -I{} bash -euo pipefail -c 'one {}'
