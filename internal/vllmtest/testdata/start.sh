#!/usr/bin/env bash
# Serves a tiny random model by vLLM on the CPU, with an adapter of it, as the
# tests of live servers need it. install.sh, which makes its environment, says
# what that takes.
# Usage: start.sh CACHE PORT RUN
# Ends with 77 where it cannot run.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$1 port=$2 run=$3

mkdir -p "$run"
python=$(bash "$here/install.sh" "$cache")
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
