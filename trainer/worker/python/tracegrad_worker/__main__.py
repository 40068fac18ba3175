"""python -m tracegrad_worker: serves one base model until its standard input ends.

The token is read from TRACEGRAD_WORKER_TOKEN. One line on standard output says that it serves: {"port": …}.
"""

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

import torch

from .base import Base
from .protocol import Protocol
from .server import Server

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def main() -> None:
    parser = argparse.ArgumentParser(prog="tracegrad_worker")
    parser.add_argument("--model", required=True, help="folder of the base model, or its name on a hub")
    parser.add_argument("--name", help="what clients call it (default: what --model says)")
    parser.add_argument("--checkpoints", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--dtype", default="auto", choices=["auto", *_DTYPES])
    parser.add_argument("--threads", type=int, default=0, help="0 = torch's choice")
    parser.add_argument("--tokens", type=int, default=0, help="padded tokens of a micro-batch (0 = 1024, on a GPU 16384)")
    parser.add_argument("--models", type=int, default=8, help="how many adapters may be open")
    args = parser.parse_args()
    token = os.environ.pop("TRACEGRAD_WORKER_TOKEN", "")
    if not token:
        parser.error("TRACEGRAD_WORKER_TOKEN is not set")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent: it may want a last checkpoint
    threading.Thread(target=_die_with_parent, daemon=True).start()
    if args.threads:
        torch.set_num_threads(args.threads)
    device = args.device if args.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    gpu = device.startswith("cuda")
    dtype = _DTYPES[("bfloat16" if gpu else "float32") if args.dtype == "auto" else args.dtype]
    try:
        base = Base(args.model, args.name or args.model, device, dtype, checkpointing=gpu)
    except Exception as e:  # noqa: BLE001 - whatever is wrong with the folder, or the hub
        sys.exit(f"load base model {args.model}: {type(e).__name__}: {' '.join(str(e).split())[:1000]}")
    protocol = Protocol(base, args.checkpoints, args.tokens or (16384 if gpu else 1024), args.models)
    server = Server(("127.0.0.1", args.port), protocol, token)
    print(json.dumps({"port": server.server_address[1]}), flush=True)
    server.serve_forever()


def _die_with_parent() -> None:
    """Whoever started this holds the other end of standard input; when it is gone, however it went, so are we."""
    while os.read(0, 4096):
        pass
    os._exit(0)


main()
