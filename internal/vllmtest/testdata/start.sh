#!/usr/bin/env bash
# Serves a tiny random model by vLLM on the CPU, with an adapter of it, as the
# tests of live servers need it. Its environment is made once: about 3 minutes
# and 2.9 GB.
# Usage: start.sh CACHE PORT RUN    (Linux on x86-64 with AVX-512, Python 3.11, gcc)
# Ends with 77 where it cannot run. TRACEGRAD_TEST_VLLM_PYTHON names a Python that
# has vLLM and peft already; nothing is installed then.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$1 port=$2 run=$3

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
mkdir -p "$cache" "$run"
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
    "$python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --only-binary :all: --require-hashes -r "$here/requirements.lock"
    bash "$here/../../../trainer/worker/stand-ins.sh" "$python"
    touch "$environment/ready"
  fi
  exec 9>&-
fi
echo "$python" >"$run/python"

export HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE TOKENIZERS_PARALLELISM=false
unset PYTHONDONTWRITEBYTECODE # byte code on disk halves the start
cd "$run"
"$python" "$here/models.py" model adapters
export VLLM_CPU_KVCACHE_SPACE=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1
export VLLM_ALLOW_RUNTIME_LORA_UPDATING=True VLLM_PLUGINS=lora_filesystem_resolver VLLM_LORA_RESOLVER_CACHE_DIR=$run/adapters
# A seeded request whose prompt is read in pieces stops this vLLM: the batch is larger than any prompt.
exec "$python" -m vllm.entrypoints.openai.api_server --model model --served-model-name base --host 127.0.0.1 --port "$port" \
  --dtype float32 --max-model-len 2048 --max-num-batched-tokens 16384 --num-gpu-blocks-override 512 \
  --enable-lora --max-lora-rank 16 --max-loras 4 --logprobs-mode processed_logprobs --generation-config vllm \
  --enable-auto-tool-choice --tool-call-parser hermes --enable-prompt-tokens-details
