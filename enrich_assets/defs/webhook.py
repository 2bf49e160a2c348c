"""One message to one webhook: its text without secrets, and its way there.

The body is `{"text": …}`, as Slack, Mattermost and others take it. What is worth a message belongs to
`defs.notices` and `defs.watching`. https://api.slack.com/messaging/webhooks
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from enrich_assets.core.settings import without_secrets
from enrich_assets.defs.running_ui import running_ui

WEBHOOK_URL = "ENRICH_WEBHOOK_URL"
"""Environment variable: where messages go. It is a secret itself: whoever has it can write there."""
UI_URL = "ENRICH_UI_URL"
"""Environment variable: where people reach the Dagster UI, for links."""
_USUAL_UI = "http://127.0.0.1:3000"
_SECONDS = 10.0
_LONGEST_FACT = 600
"""Characters of one fact; a message of Slack takes some 40,000 in all."""
_LEAST_SECRET = 6
"""Characters of an environment variable's value from which on it is looked for: shorter ones are in every text."""
_SECRET_VARIABLE = re.compile(
    r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|PGPASS|CREDENTIAL|COOKIE|AUTH(?!OR)|WEBHOOK|DSN|_URL$", re.IGNORECASE
)


def webhook_is_set() -> bool:
    """Whether the environment names a webhook."""
    return bool(os.environ.get(WEBHOOK_URL, "").strip())


def ui_link(path: str = "") -> str:
    """A link into the Dagster UI: the one that the environment names, else the one that `enrich ui` runs here."""
    base = os.environ.get(UI_URL, "").strip()
    if not base:
        found = running_ui()
        base = (found.url if found is not None else "") or _USUAL_UI
    return f"{base.rstrip('/')}/{path}"


def message(headline: str, facts: Sequence[tuple[str, str]], *, settings: Mapping[str, Any] | None = None) -> str:
    """A message's text: a headline and `name: fact` lines, in Slack's markup, without secrets.

    `settings`: those of the run, whose `{env: NAME}` references name variables that hold secrets.
    """
    hidden = _secrets(settings or {})
    lines = [f"*{_clean(headline, hidden)}*"]
    lines += [f"{name}: {_clean(fact, hidden)}" for name, fact in facts if fact]
    return "\n".join(lines)


def send(text: str, log: Any) -> bool:
    """Posts a message; whether it arrived. A failure is logged and raises nothing: a run is not to fail for it."""
    import httpx

    url = os.environ.get(WEBHOOK_URL, "").strip()
    # What httpx says may hold the address, and who has the address can write there: so only the kind is told.
    try:
        answer = httpx.post(url, json={"text": text}, timeout=_SECONDS, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        log.warning(f"The webhook of {WEBHOOK_URL} was not reached: {type(error).__name__}.")
        return False
    if not answer.is_success:
        log.warning(f"The webhook of {WEBHOOK_URL} answered {answer.status_code}.")
    return answer.is_success


def _clean(text: str, hidden: Mapping[str, str]) -> str:
    for value, name in hidden.items():
        text = text.replace(value, f"[{name}]")
    text = " ".join(without_secrets(text).split())
    text = text if len(text) <= _LONGEST_FACT else f"{text[: _LONGEST_FACT - 1]}…"
    # Slack's own three: without them a title could mention everybody in the channel, or dress up a link.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _secrets(settings: Mapping[str, Any]) -> dict[str, str]:
    """Values of environment variables that must not be told, longest first, with the names to show instead."""
    named = set(_references(settings)) | {name for name in os.environ if _SECRET_VARIABLE.search(name)}
    named -= {UI_URL}
    found = {os.environ.get(name, "").strip(): name for name in sorted(named)}
    return {value: found[value] for value in sorted(found, key=len, reverse=True) if len(value) >= _LEAST_SECRET}


def _references(settings: Any) -> list[str]:
    if isinstance(settings, Mapping):
        if set(settings) == {"env"}:
            return [str(settings["env"])]
        return [name for value in settings.values() for name in _references(value)]
    if isinstance(settings, (list, tuple)):
        return [name for value in settings for name in _references(value)]
    return []
