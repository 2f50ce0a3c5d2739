#!/usr/bin/env bash
# Records the routing of rill on its sample prompts, answered greedily:
#   tools/rill/record_trace.sh build/release/sluice models/rill/trace.jsonl
set -euo pipefail
sluice=$1
output=$2
prompts=()
while IFS= read -r line; do
  [[ -n $line ]] && prompts+=(-p "$line")
done < "$(dirname "$0")/prompts.txt"
"$sluice" run "${prompts[@]}" -n 48 --trace "$output" >/dev/null
