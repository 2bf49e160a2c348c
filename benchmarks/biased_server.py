"""A loopback model server whose judgement of a row depends on the row's company, by an amount that is known.

It answers tier2's question. A row alone gets points that its text decides. Among others it gets more or fewer: by its
place in the prompt, or by what stands beside it. The shift of a row, over all orders of its batch, has the mean 0 and
the standard deviation `bias`, so that a measurement of the spread can be held against it. By neighbours it is a little
less where the batch is a good part of all rows: they cannot differ as freely.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Kind = Literal["place", "neighbours"]
LOWEST, HIGHEST = 3.0, 7.0
"""Points of rows alone are uniform between these; a bias of up to 1.7 never meets the ends of the scale."""
_ROW = re.compile(r"<row id=\"(\d+)\">\n(.*?)\n</row>", re.DOTALL)
_CATEGORY = re.compile(r"^- `(\w+)`:", re.MULTILINE)


class BiasedServer:
    """The server in a thread of its own: `with BiasedServer(bias=0.5) as server: server.base_url`.

    `bias` in points of 10. Of the rows of a prompt of several, a share of `lost` gets no usable answer: every second
    one is left out, the others get points beyond the scale.
    """

    def __init__(self, *, bias: float = 0.0, kind: Kind = "place", lost: float = 0.0) -> None:
        self.bias, self.kind, self.lost = bias, kind, lost
        self.left_out = self.unusable = 0
        handler = type("Handler", (_Handler,), {"biased": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._lock = threading.Lock()

    @property
    def base_url(self) -> str:
        """Where clients send to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> BiasedServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def content(self, system: str, user: str) -> dict[str, Any]:
        """The answer to one prompt, as tier2 asks for it."""
        category = _CATEGORY.findall(system)[0]
        rows = _ROW.findall(user)
        if not rows:
            return _verdict(_points(user), category)
        alone = [_points(text) for _, text in rows]
        answers = []
        for place, ((number, text), points) in enumerate(zip(rows, alone, strict=True)):
            shift = _by_place(place, len(rows)) if self.kind == "place" else _by_neighbours(alone, place)
            verdict = _verdict(points + self.bias * shift, category)
            if _fraction(f"{user}\x00{text}") < self.lost:
                with self._lock:
                    is_left_out = self.left_out <= self.unusable
                    self.left_out += is_left_out
                    self.unusable += not is_left_out
                if is_left_out:
                    continue
                verdict["relevance"] = 42.0
            answers.append({"id": int(number), "answer": verdict})
        return {"rows": answers}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    biased: BiasedServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        system, user = (str(message["content"]) for message in body["messages"])
        text = json.dumps(self.biased.content(system, user))
        tokens_in, tokens_out = len(system + user) // 4, len(text) // 4
        answer = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": body["model"],
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": tokens_in,
                "completion_tokens": tokens_out,
                "total_tokens": tokens_in + tokens_out,
            },
        }
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed of single requests."""


def _verdict(points: float, category: str) -> dict[str, Any]:
    return {"relevance": round(min(10.0, max(0.0, points)), 4), "category": category, "reason": "It was asked."}


def _points(text: str) -> float:
    return LOWEST + (HIGHEST - LOWEST) * _fraction(text)


def _by_place(place: int, rows: int) -> float:
    """The place in standard deviations from the middle: those of a whole number that is uniform from 0 to rows - 1."""
    return (place - (rows - 1) / 2) / math.sqrt((rows**2 - 1) / 12) if rows > 1 else 0.0


def _by_neighbours(alone: list[float], place: int) -> float:
    """Contrast: how far the others' mean lies below the middle of the scale, in standard deviations of such a mean."""
    others = alone[:place] + alone[place + 1 :]
    if not others:
        return 0.0
    deviation = (HIGHEST - LOWEST) / math.sqrt(12) / math.sqrt(len(others))
    return ((LOWEST + HIGHEST) / 2 - sum(others) / len(others)) / deviation


def _fraction(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
