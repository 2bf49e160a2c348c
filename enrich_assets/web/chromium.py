"""A Chromium of our own: found, started with a fresh profile, ended with everything that belongs to it.

Belongs here: the program, its switches and its life. What it loads belongs to `web.browser`, what it may reach to
`web.browser_proxy`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from enrich_assets.core.errors import FinalError

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
START_SECONDS = 30.0
_END_SECONDS = 10.0

_SWITCHES = (
    "--headless",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--no-default-browser-check",
    # Nothing leaves but through the proxy: not to loopback, not by a name lookup of its own, not by UDP.
    "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-quic",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--dns-prefetch-disable",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-component-extensions-with-background-pages",
    "--disable-client-side-phishing-detection",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--no-pings",
    "--metrics-recording-only",
    "--no-service-autorun",
    "--disable-breakpad",
    "--disable-crash-reporter",
    "--disable-features=AutofillServerCommunication,CertificateTransparencyComponentUpdater,DialMediaRouteProvider,"
    "MediaRouter,NetworkTimeServiceQuerying,OptimizationHints,Prerender2,Translate",
    # A page asks for nothing, hears nothing, keeps nothing.
    "--deny-permission-prompts",
    "--disable-notifications",
    "--mute-audio",
    "--password-store=basic",
    "--use-mock-keychain",
    "--blink-settings=imagesEnabled=false",
    "--disable-remote-fonts",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--js-flags=--max-old-space-size=512",
    # Timers of a page in the background run as they would in front.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
)


def find_chromium(environ: Mapping[str, str] = os.environ) -> str:
    """The path of Chromium: ENRICH_CHROMIUM, else the first of the usual names on PATH.

    Raises FinalError of kind `no_browser`.
    """
    named = environ.get("ENRICH_CHROMIUM", "")
    names = (named,) if named else NAMES
    for name in names:
        found = shutil.which(name, path=environ.get("PATH", os.defpath))
        if found:
            return found
    raise FinalError(
        f"ENRICH_CHROMIUM names no program ({named!r})." if named else "there is no Chromium to run JavaScript with.",
        where="javascript",
        fix="Install Chromium or Chrome (on Debian: apt-get install chromium), name its program in ENRICH_CHROMIUM, or "
        "set the source's javascript to never.",
        kind="no_browser",
    )


class Chromium:
    """One running browser. `cdp_url` is where it is spoken to; nobody else knows that address."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._process, self._folder, self.cdp_url = process, folder, ""

    @property
    def is_running(self) -> bool:
        """Whether the browser is still there."""
        return self._process.returncode is None

    @classmethod
    async def start(cls, proxy: str) -> Chromium:
        """A fresh browser whose whole traffic goes through `proxy` (`http://host:port`).

        It ends with `close`, and also when this process is killed. Raises FinalError of kind `no_browser`.
        """
        program = find_chromium()
        folder = Path(tempfile.mkdtemp(prefix="enrich-", dir=_short_folder()))
        command = [program, f"--user-data-dir={folder / 'profile'}", f"--proxy-server={proxy}", *_SWITCHES]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--no-sandbox")  # Chromium refuses to run as root with it
        keeper = Path(__file__).with_name("chromium_keeper.py")
        with tempfile.TemporaryFile() as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", str(keeper), str(os.getpid()), str(folder), *command, "about:blank",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                env=_environment(folder),
            )  # fmt: skip
            browser = cls(process, folder)
            try:
                browser.cdp_url = await browser._address(program, log)
            except BaseException:
                await browser.close()
                raise
        return browser

    async def close(self) -> None:
        """Ends the browser with all its processes and removes its folder."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()  # the browser follows it
            await self._process.wait()
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _address(self, program: str, log: IO[bytes]) -> str:
        told = self._folder / "profile" / "DevToolsActivePort"
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.is_running:
            lines = _read(told).split()
            if len(lines) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            await asyncio.sleep(0.02)
        log.seek(0)
        last = _last_line(log.read(1_000_000).decode("utf-8", "replace"))
        why = f"it ended ({last or 'without a word'})" if not self.is_running else "it did not say where it listens"
        raise FinalError(
            f"Chromium did not start: {why}.",
            where=program,
            fix="Start it by hand to see why. Where its sandbox is not allowed, as in many containers, let "
            "ENRICH_CHROMIUM name a script that starts it with --no-sandbox.",
            kind="no_browser",
        )


def _short_folder() -> str:
    # Chromium makes a socket in there, and the name of a socket has no more than 104 characters (sun_path).
    usual = tempfile.gettempdir()
    return usual if len(usual) <= 40 or not os.access("/tmp", os.W_OK) else "/tmp"


def _environment(folder: Path) -> dict[str, str]:
    # Neither the secrets of this process nor the home folder of its owner are the browser's business.
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH") if name in os.environ}
    own = ("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR")
    return kept | {name: str(folder) for name in own}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL" in line or "sandbox" in line.lower()]
    return (telling or lines or [""])[-1][:300]
