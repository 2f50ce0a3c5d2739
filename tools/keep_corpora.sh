#!/usr/bin/env bash
# Keeps what the fuzzers found out, as seeds for the next: of each corpus in build/fuzz/corpus the inputs that
# reach something of their own, the smallest first, up to 24 KiB and 200 inputs, in tools/fuzz_corpora/NAME.zip.
#   tools/keep_corpora.sh [NAME...]    (default: all; after tools/fuzz.sh)
set -euo pipefail
cd "$(dirname "$0")/.."
fuzzers=${FUZZERS:-build/fuzz}
names=("$@")
[[ $# -gt 0 ]] || mapfile -t names < <(ls "$fuzzers/corpus")
for name in "${names[@]}"; do
  kept=$(mktemp -d)
  "$fuzzers/src/$name" -merge=1 "$kept" "$fuzzers/corpus/$name" 2>/dev/null
  python3 - "$kept" "tools/fuzz_corpora/$name.zip" <<'EOF'
import pathlib
import sys
import zipfile

MOST_BYTES = 24 << 10
MOST_INPUTS = 200  # each takes a hundred bytes of the archive beside its own
inputs = sorted(pathlib.Path(sys.argv[1]).iterdir(), key=lambda path: (path.stat().st_size, path.name))[:MOST_INPUTS]
out = pathlib.Path(sys.argv[2])
out.parent.mkdir(exist_ok=True)
total = 0
with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
    for path in inputs:
        total += path.stat().st_size
        if total > MOST_BYTES:
            break
        # No dates: the same inputs are the same archive.
        archive.writestr(zipfile.ZipInfo(path.name), path.read_bytes(), zipfile.ZIP_DEFLATED)
    print(f"{out}: {len(archive.namelist())} of {len(inputs)} inputs")
EOF
  rm -r "$kept"
done
