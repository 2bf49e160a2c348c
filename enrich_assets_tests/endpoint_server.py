"""A model endpoint on loopback that answers as a test says, and counts: `with EndpointServer(reply) as server`."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

_numbers = itertools.count(1)


class Answer(NamedTuple):
    """One HTTP answer; a body that is no text is sent as JSON."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = {}
    content_type: str = "application/json"


def completion(text: str | None, *, finish: str = "stop", usage: Any = None, **message: Any) -> dict[str, Any]:
    """A completion as OpenAI sends it; further arguments are further fields of the message."""
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
        ],
        "usage": usage or {"prompt_tokens": 50, "completion_tokens": 10, "total_tokens": 60},
    }


class EndpointServer:
    """`reply(request, number)` answers the `number`-th request for a completion (1, 2, …); `seen` holds them."""

    def __init__(self, reply: Callable[[dict[str, Any], int], Answer]) -> None:
        self.seen: list[dict[str, Any]] = []
        lock = threading.Lock()
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None: ...

            def do_GET(self) -> None:
                self._send(Answer({"object": "list", "data": [{"id": "m"}]}))

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    seen.append(request)
                    number = len(seen)
                self._send(reply(request, number))

            def _send(self, answer: Answer) -> None:
                body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
                raw = body.encode()
                self.send_response(answer.status)
                for name, value in {"Content-Type": answer.content_type, **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

        self._number = next(_numbers)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def calls(self) -> int:
        """Requests for completions, refused ones too."""
        return len(self.seen)

    @property
    def base_url(self) -> str:
        """Where clients send to, with `/v1`; no two servers of a process share it, though ports are used again."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{self._number}/v1"

    def __enter__(self) -> EndpointServer:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
