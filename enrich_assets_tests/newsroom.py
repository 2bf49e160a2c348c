"""What a model would answer to the prompts of the intelligence graph: from the text of the row alone.

The loopback model server answers any schema; these answers also keep what a schema cannot say: categories out of the
prompt's list, names that the article has, quotes out of the passages. Some are wrong on purpose.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from enrich_assets.models.definitions import definition_sentence
from enrich_assets.models.extractive import summary
from enrich_assets.models.names import entities
from enrich_assets.models.text import sentences
from enrich_assets_tests.model_server import answer_text, digest

INVENTED = "is the oldest maker of glass umbrellas in the northern hemisphere"
_FENCED = re.compile(r"<<<DATA (\w+)\n(.*?)\nDATA>>> \1", re.DOTALL)
_ROW = re.compile(r"<row id=\"?(\d+)\"?>\n?(.*?)\n?</row>", re.DOTALL)
_COMPLAINT = re.compile(r"\n\nYour last answer could not be used: (.*?)\nAnswer again, and mend that\.\s*$", re.DOTALL)


def newsroom_answer(body: Mapping[str, Any]) -> str:
    """The answer to one request of the graph, as JSON; anything else by its schema."""
    system, user = (str(message["content"]) for message in body["messages"][:2])
    complaint = _COMPLAINT.search(user)
    text = _COMPLAINT.sub("", user)
    plain = {**body, "messages": [body["messages"][0], {"role": "user", "content": text}]}
    kind = schema_title(body)
    if kind == "Analysis":
        return json.dumps({"analysis": _analysis(text, was_refused=complaint is not None)}, ensure_ascii=False)
    if kind == "NamedEntities":
        return json.dumps({"entities": _entities(text)}, ensure_ascii=False)
    if kind == "PassageClaims":
        return json.dumps({"claims": _claims(text)}, ensure_ascii=False)
    answer = json.loads(answer_text(plain))
    if kind == "Verdict":
        answer["category"] = _category(system, text)
    elif kind == "VerdictRows":
        texts = {int(number): row for number, row in _ROW.findall(text)}
        for item in answer["rows"]:
            item["answer"]["category"] = _category(system, texts[item["id"]])
    return json.dumps(answer, ensure_ascii=False)


def schema_title(body: Mapping[str, Any]) -> str:
    """Name of the answer that a request asks for."""
    return str(body["response_format"]["json_schema"]["schema"].get("title", ""))


def _category(system: str, text: str) -> str:
    known = re.findall(r"^- `(\w+)`:", system, re.MULTILINE)
    return known[digest(text, "category") % len(known)]


def _analysis(text: str, *, was_refused: bool) -> str:
    article = _fenced(text)[0]
    if not was_refused and digest(text, "too short") % 5 == 0:
        return (sentences(article) or ["Nothing."])[0][:300]
    return summary(article, lowest=500, highest=600) or ""


def _entities(text: str) -> list[dict[str, str]]:
    kinds = {"company", "institution", "person", "product", "place", "other"}
    found = entities("\n\n".join(_fenced(text)), 5)
    return [{"name": e.name, "kind": e.kind if e.kind in kinds else "other"} for e in found] + [
        {"name": "Glass Umbrella Works", "kind": "company"}  # no article names it
    ]


def _claims(text: str) -> list[dict[str, Any]]:
    name, *passages = _fenced(text)
    if digest(text, "invented") % 5 == 0:
        return [{"passage": 1, "quote": f"{name} {INVENTED}.", "background": f"{name} {INVENTED}."}]
    claims = []
    for number, passage in enumerate(passages, 1):
        naming = [sentence for sentence in sentences(passage) if name in sentence]
        quote = definition_sentence(name, passage) or (naming[0] if naming else None)
        if quote and len(claims) < 3:
            claims.append({"passage": number, "quote": quote, "background": quote})
    return claims


def _fenced(text: str) -> list[str]:
    return [found for _, found in _FENCED.findall(text)] or [""]
