"""Work in the order it came, one piece at a time, and its results until they are fetched and forgotten."""

import json
import queue
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from .refusal import Refusal

_KEPT = 1 << 28  # bytes of results; the oldest are forgotten
_KNOWN = 16384  # requests whose keys are remembered
_WAITING = 1024  # pieces of work


@dataclass
class _Future:
    done: threading.Event = field(default_factory=threading.Event)
    result: bytes = b""  # JSON
    status: int = 200


class Futures:
    """One thread that works, and what came of it."""

    def __init__(self):
        self._lock = threading.Lock()
        self._all: OrderedDict[str, _Future] = OrderedDict()
        self._asked: OrderedDict[tuple, tuple[str, str]] = OrderedDict()  # key → (digest of the request, request id)
        self._queue: queue.Queue = queue.Queue()
        self._count = 0
        threading.Thread(target=self._work, daemon=True, name="work").start()

    def submit(self, work: Callable[[], dict], key: tuple | None = None, digest: str = "") -> str:
        """The id of the request. The same key with the same request again is the same request: it is done once."""
        with self._lock:
            if key in self._asked:
                known, request_id = self._asked[key]
                if known != digest:
                    raise Refusal(409, f"seq_id {key[-1]} of {key[0]} was used for another request")
                return request_id
            if self._queue.qsize() >= _WAITING:
                raise Refusal(429, f"{_WAITING} requests are waiting: fetch their results first")
            self._count += 1
            request_id = str(self._count)
            future = self._all[request_id] = _Future()
            if key is not None:
                self._asked[key] = (digest, request_id)
                while len(self._asked) > _KNOWN:
                    self._asked.popitem(last=False)
            self._queue.put((future, work))
            return request_id

    def result(self, request_id: object, timeout: float) -> tuple[int, bytes]:
        """Waits for a result, as JSON: 200, what the work refused with, or 408 while it is not done: ask again."""
        with self._lock:
            future = self._all.get(request_id) if isinstance(request_id, str) else None
        if future is None:
            raise Refusal(404, "Future not found")
        if not future.done.wait(timeout):
            return 408, b'{"detail": "not done yet: ask again"}'
        return future.status, future.result

    def _work(self) -> None:
        while True:
            future, work = self._queue.get()
            try:
                result = work()
            except Refusal as e:
                future.status, result = e.status, {"detail": e.detail}
            except Exception as e:  # noqa: BLE001 - the client must hear of it, and the next request be served
                traceback.print_exc()
                future.status, result = 500, {"detail": f"{type(e).__name__}: {e}"}
            future.result = json.dumps(result).encode()
            future.done.set()
            del work, result  # a batch is not held until the next one comes
            self._forget()

    def _forget(self) -> None:
        with self._lock:
            done = [(request_id, f) for request_id, f in self._all.items() if f.done.is_set()]
            over = sum(len(f.result) for _, f in done) - _KEPT
            for request_id, future in done[:-1]:
                if over <= 0 and len(self._all) <= _KNOWN:
                    break
                over -= len(future.result)
                del self._all[request_id]
