"""Work in the order it came, one piece at a time, and its results until they are fetched and forgotten."""

import queue
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from .refusal import Refusal

_KEPT = 256  # results; older ones are forgotten
_WAITING = 1024  # pieces of work


@dataclass
class _Future:
    done: threading.Event = field(default_factory=threading.Event)
    result: dict | None = None
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
                while len(self._asked) > 64 * _KEPT:
                    self._asked.popitem(last=False)
            self._forget()
            self._queue.put((future, work))
            return request_id

    def result(self, request_id: object, timeout: float) -> tuple[int, dict]:
        """Waits for a result: 200, what the work refused with, or 408 while it is not done: ask again."""
        with self._lock:
            future = self._all.get(request_id) if isinstance(request_id, str) else None
        if future is None:
            raise Refusal(404, "Future not found")
        if not future.done.wait(timeout):
            return 408, {"detail": "not done yet: ask again"}
        return future.status, future.result

    def _forget(self) -> None:
        for request_id in list(self._all)[:-_KEPT]:
            if self._all[request_id].done.is_set():
                del self._all[request_id]

    def _work(self) -> None:
        while True:
            future, work = self._queue.get()
            try:
                future.result = work()
            except Refusal as e:
                future.status, future.result = e.status, {"detail": e.detail}
            except Exception as e:  # noqa: BLE001 - the client must hear of anything that goes wrong, and the next request be served
                traceback.print_exc()
                future.status, future.result = 500, {"detail": f"{type(e).__name__}: {e}"}
            future.done.set()
