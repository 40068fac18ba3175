#!/usr/bin/env bash
# Serves a model by SkyRL's Tinker server on the CPU, as the test of live
# servers needs it. Its environment is made once: about a minute and 2.3 GB.
# Usage: start.sh CACHE MODEL PORT RUN    (Linux on x86-64, Python 3.12, gcc)
# Ends with 77 where it cannot run.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$1 model=$2 port=$3 run=$4

python312() { # the first Python 3.12 that runs
  local each
  for each in python3.12 python3 "$HOME"/.pyenv/versions/3.12.*/bin/python3 "$(uv python find --no-python-downloads 3.12 2>/dev/null)"; do
    if [ "$("$each" -c 'import sys; print(*sys.version_info[:2])' 2>/dev/null)" = '3 12' ]; then
      echo "$each"
      return
    fi
  done
  echo 'SkyRL needs Python 3.12, which is not here' >&2
  exit 77
}

if [ "$(uname -sm)" != 'Linux x86_64' ] || ! command -v gcc >/dev/null; then
  echo 'SkyRL is tested on Linux on x86-64, with gcc' >&2
  exit 77
fi
environment=$cache/skyrl-$(sha256sum "$here/requirements.lock" | cut -c1-12)
mkdir -p "$cache"
exec 9>"$environment.lock"
flock 9
if [ ! -e "$environment/ready" ]; then
  python=$(python312)
  "$python" -m venv --clear "$environment"
  grep '^uv==' "$here/requirements.lock" >"$environment/uv.lock"
  "$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r "$environment/uv.lock"
  "$environment/bin/uv" pip install --quiet --python "$environment/bin/python" --no-deps --only-binary :all: --require-hashes -r "$here/requirements.lock"
  bash "$here/../../../worker/stand-ins.sh" "$environment/bin/python"
  touch "$environment/ready"
fi
exec 9>&-

mkdir -p "$run"
cd "$run"
export VIRTUAL_ENV=$environment PATH=$environment/bin:$PATH UV_PYTHON_DOWNLOADS=never UV_OFFLINE=1 HF_HUB_OFFLINE=1
export JAX_PLATFORMS=cpu CUDA_VISIBLE_DEVICES='' OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
# The server starts its engine the way that it was started itself, by uv run.
exec uv run --active -m skyrl.tinker.api --base-model "$model" --backend jax \
  --backend-config '{"max_lora_adapters": 4, "max_lora_rank": 8}' --host 127.0.0.1 --port "$port" \
  --checkpoints-base "$run/checkpoints" --database-url "sqlite:///$run/server.db"
