"""The sentence of a text that says what a name is: the definition a reader would quote."""

from __future__ import annotations

import re
from functools import lru_cache

from enrich_assets.models.cues import TITLES
from enrich_assets.models.text import STOP_WORDS, sentences

_ARTICLE = r"(?:an?|the|one of the|its|Europe['’]s|America['’]s|Germany['’]s)"
_DOES = r"(?:makes|builds|develops|produces|publishes|operates|designs|leads|heads|directs)"
# What stands before the subject of "is". In "changes to Windows 11 is the …" the name stands behind another word.
_CONJUNCTIONS = (
    "that", "because", "but", "while", "where", "whereas", "when", "though", "although", "since", "yet", "if",
    "said", "says",
)  # fmt: skip
_TITLE = rf"(?:(?:{'|'.join(sorted(title.capitalize() for title in TITLES))})\.? )"
# "The software maker Corvane Systems said": the noun right before the name says what it is.
_KIND = (
    r"(?:[a-z]{2,}maker|maker|manufacturer|producer|supplier|developer|operator|retailer|publisher|provider|company|"
    r"firm|group|start-?up|agency|institute|association|charity|airline|bank|insurer|economist|physicist|chemist|"
    r"historian|engineer|architect|researcher|entrepreneur|lawyer|journalist|novelist|surgeon)"
)
_BEFORE_A_SUBJECT = "|".join(
    ["^", r"(?<=[,;:–—] )", r"(?<=[(\"“])", *(rf"(?<=\b(?i:{word}) )" for word in _CONJUNCTIONS)]
)


def definition_sentence(name: str, text: str) -> str | None:
    """The sentence of `text`, verbatim, that says what `name` is; None when no sentence does.

    "X is a …", "X was the …", "X, a maker of …, …", "X (…) is an …", "X makes …, based in …" for whole names only,
    and the name must be the subject of its "is": "a change to X is the …" does not say what X is. Stronger forms win
    over weaker ones, earlier sentences over later ones. The weakest is a noun before the name: "the software maker X".
    """
    parts = name.split()
    all_sentences = [s for s in sentences(text) if len(s) <= 600 and re.search(r"[.!?][\"'”’)]*$", s)]
    best: tuple[float, str] | None = None
    for index, sentence in enumerate(all_sentences):
        if not all(part in sentence for part in parts):
            continue  # found out at a hundredth of the price
        for pattern, strength in _patterns(name):
            match = pattern.search(sentence)
            if match is None or _is_part_of_a_name(sentence[: match.start("name")]):
                continue
            if _says_nothing(match.group()) or _is_aside_of_nothing(sentence, match):
                continue
            worth = strength - min(0.2, 0.01 * index) - (0.1 if len(sentence) > 350 else 0)
            if best is None or worth > best[0]:
                best = (worth, sentence)
    return best[1] if best else None


@lru_cache(maxsize=256)
def _patterns(name: str) -> list[tuple[re.Pattern[str], float]]:
    """How a sentence may say what the name is, and how strong that is."""
    exact = r"(?<![\w-])(?P<name>" + r"\s+".join(map(re.escape, name.split())) + r")(?![\w-])"
    aside = r"(?: \([^)]{1,200}\)|, (?:or|also known as|short for) [^,]{1,60},)?"
    noun = r"(?:[\w'’-]+,? ){0,6}?[\w-]{3,}"
    start = rf"^[\"“]?(?:The |{_TITLE}{{1,2}})?{exact}"
    found = (
        (rf"{start}{aside}(?:, [^,]{{1,80}},)? (?:is|was|are|were) {_ARTICLE} {noun}", 1.0),
        (rf"{start}{aside} (?:is|was|are|were) (?:[\w-]+['’]s? )(?:[\w'’-]+ ){{1,5}}", 0.75),
        (rf"{start}{aside}, {_ARTICLE} [^,;]{{8,120}}[,.;]", 0.8),
        (rf"{exact}{aside}, {_ARTICLE} [^,;]{{8,120}}[,.;]", 0.7),
        (rf"(?:{_BEFORE_A_SUBJECT})(?:[Tt]he )?{exact} (?:is|was) {_ARTICLE} {noun}", 0.6),
        (rf"{start}{aside} {_DOES} ", 0.55),
        (rf"{exact}, (?:\w+ )?(?:chief|head|director|president|founder|professor|chair)\b[^,;]{{0,100}}[,.;]", 0.65),
        (rf"\b(?:[Tt]he|[Aa]n?) (?:[\w’'-]+ ){{1,4}}{_KIND} {exact}(?! (?:and|or)\b)", 0.5),
    )
    return [(re.compile(pattern), strength) for pattern, strength in found]


def _is_part_of_a_name(before: str) -> bool:
    """Whether a capital stands right before: "Brenner Analytics is …" does not define "Analytics"."""
    word = re.search(r"([A-Z][\w-]*)\.? $", before)
    return word is not None and word.group(1).lower() not in TITLES | STOP_WORDS


def _says_nothing(matched: str) -> bool:
    """ "X is the first to say so", "X, the day after": the article does not open a description."""
    return bool(
        re.search(
            r"\b(?:is|was|are|were|,) (?:an?|the) (?:first|last|only|same|right|wrong|best|worst|day|week|month|year|"
            r"morning|time|reason|case|problem|question|answer|result|bit|lot|little|few|moment|other|next)\b",
            matched,
        )
    )


def _is_aside_of_nothing(sentence: str, match: re.Match[str]) -> bool:
    """A comma after the name that opens no apposition: "After a week in Perth, the door …", "SUVs, a car, a van"."""
    comma = re.search(rf", {_ARTICLE} ", match.group())
    if comma is None:
        return False
    opened = re.match(
        r"[\"“]?(?:After|At|As|Before|Between|By|Despite|During|For|From|If|In|Inside|Like|Near|On|Outside|Since|"
        r"Though|Although|Through|To|Under|Unlike|Until|When|While|With|Without|Following|Instead|According)\b",
        sentence,
    )
    if opened and "," not in sentence[: match.start() + comma.start()]:
        return True
    if re.match(r"\s*(?:and )?(?:an?|several|the|another) ", sentence[match.end() :]):
        return True
    inside = re.split(r"\b(?:who|which|that|where|whose)\b", match.group()[comma.start() :])[0]
    return bool(re.search(r"\b(?:is|was|are|were|has|had|have|will|would|can|could|said|says)\b", inside))
