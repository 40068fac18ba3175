"""tracegrad's single-node training engine: LoRA adapters by torch and peft, behind the Tinker training protocol."""
