#!/usr/bin/env bash
# Brings what the build and the tests need: Debian packages, and Python packages into .venv.
#   tools/install_dependencies.sh         to build and test
#   tools/install_dependencies.sh lint    also what tools/check.sh needs
#   tools/install_dependencies.sh bench   also what draws the pictures of bench/suite.py
#   tools/install_dependencies.sh torch   also Transformers, the witness of the golden logits
# Installs only what is missing; asks for root through sudo where it is not root.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(g++ cmake ninja-build pkg-config python3 python3-venv
  libcli11-dev nlohmann-json3-dev libfmt-dev liburing-dev libpcre2-dev libutf8proc-dev libedit-dev libzip-dev libzstd-dev
  libgtest-dev libgmock-dev libbenchmark-dev)
if [[ " $* " == *" lint "* ]]; then
  packages+=(clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev)
fi

# A compiler, CMake or Python from elsewhere will do.
present() {
  case $1 in
    g++ | cmake | python3) command -v "$1" >/dev/null ;;
    python3-venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
    *) dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed' ;;
  esac
}
missing=()
for package in "${packages[@]}"; do
  present "$package" || missing+=("$package")
done
if [[ ${#missing[@]} -gt 0 ]]; then
  as_root=()
  [[ $EUID -eq 0 ]] || as_root=(sudo)
  echo "installing: ${missing[*]}" >&2
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

[[ -x .venv/bin/python ]] || python3 -m venv .venv
.venv/bin/python -m pip install -q --disable-pip-version-check -r tests/golden/requirements.txt -r tests/requirements.txt
if [[ " $* " == *" torch "* ]]; then
  .venv/bin/python -m pip install -q --disable-pip-version-check -r tests/golden/requirements-torch.txt
fi
if [[ " $* " == *" bench "* ]]; then
  .venv/bin/python -m pip install -q --disable-pip-version-check -r bench/requirements.txt
fi
