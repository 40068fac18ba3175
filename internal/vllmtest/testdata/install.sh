#!/usr/bin/env bash
# Makes an environment with vLLM for the CPU, once: about 3 minutes and 2.9 GB.
# Prints the Python to run.
# Usage: install.sh CACHE    (Linux on x86-64 with AVX-512, Python 3.11, gcc)
# Ends with 77 where it cannot run. TRACEGRAD_TEST_VLLM_PYTHON names a Python that
# has vLLM and peft already; nothing is installed then.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$1

skip() {
  echo "$*" >&2
  exit 77
}

python311() { # the first Python 3.11 that can make environments
  local each
  for each in python3.11 python3 "$HOME"/.pyenv/versions/3.11.*/bin/python3; do
    if "$each" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      echo "$each"
      return
    fi
  done
}

if [ "$(uname -sm)" != 'Linux x86_64' ] || ! grep -q avx512 /proc/cpuinfo || ! command -v gcc >/dev/null; then
  skip 'vLLM on the CPU is tested on Linux on x86-64 with AVX-512, with gcc'
fi
mkdir -p "$cache"
python=${TRACEGRAD_TEST_VLLM_PYTHON:-}
if [ -z "$python" ]; then
  environment=$cache/vllm-$(sha256sum "$here/requirements.lock" | cut -c1-12)
  python=$environment/bin/python
  exec 9>"$environment.lock"
  flock 9
  if [ ! -e "$environment/ready" ]; then
    from=$(python311)
    [ -n "$from" ] || skip 'vLLM is tested with Python 3.11, which is not here'
    "$from" -m venv --clear "$environment"
    "$python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --only-binary :all: --require-hashes -r "$here/requirements.lock" >&2
    bash "$here/../../../trainer/worker/stand-ins.sh" "$python" >&2
    touch "$environment/ready"
  fi
  exec 9>&-
fi
echo "$python"
