#!/usr/bin/env bash
# Shows what sluice does, with the embedded model: tools/demo.sh path/to/sluice
set -euo pipefail
sluice=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
field() { python3 -c 'import json,sys; v=json.load(open(sys.argv[1]))
for k in sys.argv[2].split("."): v=v[k]
print(v)' "$1" "$2"; }
mib() { python3 -c 'import sys; print(f"{float(sys.argv[1])/2**20:.1f} MiB")' "$1"; }

run() {  # run NAME FLAGS...: prints the answer, keeps statistics and logits
  local name=$1
  shift
  "$sluice" run "$@" --stats "$folder/$name.json" --logits "$folder/$name.logits"
}

prompt='sort: 7 3 9 1 ='
say "1. A question to rill, the small Mixture-of-Experts model inside the program (6 layers of 32 experts)"
echo "\$ sluice run -p \"$prompt\""
run all -p "$prompt"

"$sluice" inspect --json > "$folder/inspect.json"
least=$(field "$folder/inspect.json" memory.minimum.total)
budget=$((least + (1 << 20)))
say "2. The same under a budget of $(mib $budget) for the whole process: most experts stay on disk"
echo "\$ sluice run -p \"$prompt\" --ram-budget $budget"
run small -p "$prompt" --ram-budget "$budget"

say "3. What happened"
for name in all small; do
  stats=$folder/$name.json
  printf '  %-18s budget %-10s peak RSS %-10s experts in RAM %3s of %s   hits %5.1f %%   read %s\n' \
    "$([[ $name == all ]] && echo 'all that is free:' || echo 'small budget:')" \
    "$(mib "$(field "$stats" memory.budget)")" "$(mib "$(field "$stats" memory.peak_rss)")" \
    "$(field "$stats" memory.slots)" "$(field "$stats" memory.all_slots)" \
    "$(python3 -c "print(100*$(field "$stats" experts.hit_rate))")" \
    "$(mib "$(field "$stats" experts.bytes_read)")"
done
cat <<'TEXT'
  A hit is an expert that was in RAM when its layer needed it. With all experts in RAM the only misses
  are first visits; under the small budget experts come and go, read from disk while others compute.
TEXT

say "4. The promise: the budget never changes the output"
if cmp -s "$folder/all.logits" "$folder/small.logits"; then
  echo "  logits of both runs: equal, bit for bit ($(stat -c %s "$folder/all.logits") bytes compared)"
else
  echo "  logits of the two runs DIFFER: this is a bug, please report it"
  exit 1
fi

say "5. Too small a budget is refused before loading, with the numbers"
echo "\$ sluice run -p \"$prompt\" --ram-budget 8MiB"
"$sluice" run -p "$prompt" --ram-budget 8MiB 2>&1 || true

say "Next: sluice inspect; sluice chat; sluice run -m your-model.gguf -p \"...\" --ram-budget 50%"
