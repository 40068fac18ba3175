"""HTTP on loopback: JSON in and out, a token on every request but healthz."""

import hmac
import json
import re
import sys
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .protocol import Protocol
from .refusal import Refusal

MAX_BODY = 1 << 29

_POSTS = {
    "client/config": Protocol.client_config,
    "create_session": Protocol.create_session,
    "session_heartbeat": Protocol.heartbeat,
    "create_model": Protocol.create_model,
    "get_info": Protocol.get_info,
    "unload_model": Protocol.unload_model,
    "forward": Protocol.forward,
    "forward_backward": Protocol.forward_backward,
    "optim_step": Protocol.optim_step,
    "save_weights": Protocol.save_weights,
    "save_weights_for_sampler": Protocol.save_weights_for_sampler,
    "load_weights": Protocol.load_weights,
    "retrieve_future": Protocol.retrieve_future,
    "render": Protocol.render,
}

_CHECKPOINTS = re.compile(r"/api/v1/training_runs/([^/]+)/checkpoints(?:/([^/]+)/(archive|download))?")


class Server(ThreadingHTTPServer):
    """The protocol at an address."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], protocol: Protocol, token: str):
        super().__init__(address, _Handler)
        self.protocol, self.token = protocol, token


# What handlers answer: a status, and an object, or JSON, or a body with its headers.
Answer = tuple[int, dict | bytes | tuple[bytes, dict[str, str]]]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self):
        self._answer(self._get)

    def do_POST(self):
        self._answer(self._post)

    def _answer(self, act) -> None:
        try:
            open_to_all = self.command == "GET" and self.path == "/api/v1/healthz"
            if not open_to_all and not self._authorised():
                self.close_connection = True  # the body was not read
                raise Refusal(401, "the token is missing or wrong: send Authorization: Bearer")
            status, body = act()
        except Refusal as e:
            status, body = e.status, {"detail": e.detail}
        except Exception as e:  # noqa: BLE001 - any request must have an answer
            traceback.print_exc(file=sys.stderr)
            status, body = 500, {"detail": f"{type(e).__name__}: {e}"}
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        if isinstance(body, bytes):
            self._send(status, body, {"content-type": "application/json"})
        else:
            self._send(status, *body)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _authorised(self) -> bool:
        given = self.headers.get("authorization", "").removeprefix("Bearer ") or self.headers.get("x-api-key", "")
        return hmac.compare_digest(given.encode(), self.server.token.encode())

    def _get(self) -> Answer:
        if self.path == "/api/v1/healthz":
            return 200, {"status": "ok"}
        if self.path == "/api/v1/get_server_capabilities":
            return 200, self.server.protocol.capabilities({})
        found = _CHECKPOINTS.fullmatch(self.path)
        if found is None:
            raise Refusal(404, "Not Found")
        model_id, name, what = found.groups()
        if name is None:
            return 200, self.server.protocol.list_checkpoints(model_id)
        if what == "archive":
            return 302, (b"", {"location": f"{self.path.removesuffix('archive')}download"})
        return 200, (self.server.protocol.download(model_id, name), {"content-type": "application/octet-stream"})

    def _post(self) -> Answer:
        act = _POSTS.get(self.path.removeprefix("/api/v1/"))
        body = self._body()
        if act is None:
            raise Refusal(404, "Not Found")
        answer = act(self.server.protocol, body)
        return answer if isinstance(answer, tuple) else (200, answer)

    def _body(self) -> dict:
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 12) or int(length) > MAX_BODY:
            self.close_connection = True
            raise Refusal(413, f"a request needs a content-length of at most {MAX_BODY} bytes")
        raw = self.rfile.read(int(length))
        if "protobuf" in self.headers.get("content-type", ""):
            raise Refusal(415, "this worker speaks the JSON generation of the protocol")
        try:
            body = json.loads(raw or b"{}")
        except (ValueError, RecursionError) as e:
            raise Refusal(422, f"the body is not JSON: {e}") from e
        if not isinstance(body, dict):
            raise Refusal(422, "the body must be an object")
        return body

    def log_message(self, *_):
        """Nothing: the client has its own log."""
