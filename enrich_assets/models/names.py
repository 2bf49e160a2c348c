"""Names in a text by their spelling and the words around them; what speaks for which kind is in `cues`.

Kinds: company, institution, person, product, place, and `other` where no cue decides.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from enrich_assets.models.cues import (
    COMPANY,
    COPULA,
    INSTITUTION,
    MODEL_NUMBER,
    PLACE,
    PRODUCT_NOUN,
    TITLES,
    looks_odd,
    votes_for,
)
from enrich_assets.models.text import STOP_WORDS, documents_with, sentences, word_set


@dataclass(frozen=True)
class Mention:
    """A name as the text spells it, and what it seems to be."""

    name: str
    kind: str


_TRADE = re.compile(
    r"(?i)(?:[a-z]+(?:ist|cian|woman|man|eer|ant)|[a-z]{3,}(?:er|or)|cook|nurse|chef|clerk|pilot|\w+-[a-z]+)"
)
_GIVEN_NAMES_LIKE_TRADES = word_set(
    """peter alexander walter oliver werner rainer dieter roger victor hector igor christopher tyler hunter asher
    xavier javier olivier günter gunter holger rutger jennifer esther heather amber pepper norman herman roman german
    truman adrian brian ian grant bryant victor salvador theodor isidor viktor gregor fedor"""
)
_NEW_PLACES = word_set("york zealand jersey delhi england orleans mexico hampshire south")
_INNER_TITLES = word_set(
    "president speaker minister leader secretary director chairman chairwoman ceo coach captain analyst chief"
)
_STOP_NAMES = word_set(
    """january february march april may june july august september october november december jan feb mar apr jun jul
    aug sep sept oct nov dec monday tuesday wednesday thursday friday saturday sunday american british european german
    french chinese japanese indian russian italian spanish dutch swiss swedish norwegian danish finnish polish czech
    canadian australian austrian belgian irish korean mexican brazilian african asian english israeli iranian iraqi
    turkish ukrainian arab americans europeans germans chinese republican democrat democratic democrats republicans
    christian muslim jewish christmas easter thanksgiving i ok tv pm am ai it ceo cfo cto coo hr us usa uk eu un
    usd eur gbp u.s u.k u.n n.y d.c suv suvs cnc sns tvs pcs dna rna pr pdf faq url api gpu cpu gpus cpus iot
    llm llms vr ar r&d q1 q2 q3 q4 covid covid-19 rss hq id gdp
    internet web south north east west western eastern northern southern northeast northwest southeast southwest
    reuters ap afp photo image source advertisement related update read mr mrs ms dr yes no god earth ph.d st nasdaq
    nyse ces phd mph kwh mwh ghz kg km via plus q&a"""
)
_COUNTED = re.compile(
    r"(?i)(?:version|section|chapter|figure|table|part|phase|week|day|page|step|level|type|class|hall|line|room|gate|"
    r"article|annex|appendix|item|number|no|rs|unit|stage|tier|year|grade|round|game|channel) (?:\d+\w?|[IVX]+|[A-Z])"
)
_TOKEN = re.compile(r"[^\W_]+(?:[-.&][^\W_]+|['’](?!(?:s|ll|re|ve|d|t|m)\b)[^\W\d_]{2,})*")
_LINKS = frozenset(["of", "for", "de", "van", "von", "der", "den", "la", "del", "da", "di", "al", "bin", "&"])
_PARTICLES = _LINKS - {"of", "for", "&"}


@dataclass
class _Seen:
    count: int = 0
    mid: int = 0
    first: int = 10**9
    votes: Counter[str] = field(default_factory=Counter)


def entities(text: str, limit: int) -> list[Mention]:
    """Up to `limit` names of `text`, the ones that matter most first (how often, how early, how sure).

    A capital at the start of a sentence counts as a name only where something else speaks for it. Shorter forms of
    a longer name ("Castellane" of "Mira Castellane", "Brightmoor" of "Brightmoor Labs") count for the longer one.
    """
    seen: dict[str, _Seen] = defaultdict(_Seen)
    lowered = Counter(re.findall(r"(?<![\w'’-])[a-z][\w-]*", text))
    # Capitals that no sentence start explains: after a lower-case letter or a comma.
    capitals = Counter(re.findall(r"(?<=[a-z,] )[A-Z][\w-]+", text))
    position = 0
    uncertain: list[tuple[str, str, str, int]] = []
    all_sentences = sentences(text)
    for sentence, upcoming in zip(all_sentences, [*all_sentences[1:], ""], strict=False):
        position += 1
        if _is_heading(sentence):
            continue
        for tokens, at_start, start, end in _sequences(sentence):
            before, after = sentence[:start], sentence[end:]
            if at_start:
                dropped, tokens = _without_opener(tokens, lowered, capitals)
                if not tokens:
                    continue
                start = tokens[0][1]
                before = sentence[:start]
                at_start = not dropped
            if at_start and _is_shout(sentence, tokens):
                continue
            name = _joined(tokens, sentence)
            if not _can_be_name(name, lowered):
                continue
            if at_start and len(tokens) == 1 and not before.strip(" \"“‘'(") and not looks_odd(name):
                uncertain.append((name, before, after, position))
                continue
            _note(seen[name], before, after, name, position, mid=True)
            goes_on = at_start and " " in name and upcoming.startswith(("He ", "She "))
            if goes_on or re.match(r", who\b", after):
                seen[name].votes["person"] += 2
    for name, before, after, position in uncertain:
        known = name in seen or any(name in other.split() for other in seen)
        if known or (documents_with(name.lower()) == 0 and lowered[name.lower()] == 0):
            _note(seen[name], before, after, name, position, mid=bool(COPULA.match(after)))
    return _best(_merged(seen), limit)


def _sequences(sentence: str) -> list[tuple[list[tuple[str, int, int]], bool, int, int]]:
    tokens = [(m.group(), m.start(), m.end()) for m in _TOKEN.finditer(sentence)]
    found = []
    index = 0
    while index < len(tokens):
        if not _is_capital(tokens[index][0]):
            index += 1
            continue
        run = [tokens[index]]
        ahead = index + 1
        while ahead < len(tokens):
            gap = sentence[run[-1][2] : tokens[ahead][1]]
            word = tokens[ahead][0]
            last = run[-1][0]
            dotted = gap == ". " and (len(last) == 1 or last.lower() in TITLES | {"st"})
            if gap == " & " and _is_capital(word):
                run.append(tokens[ahead])
            elif gap not in (" ", "\n", "\u00a0") and not dotted:
                break
            elif _is_capital(word) or (word.isdigit() and len(word) <= 2 and not MODEL_NUMBER.fullmatch(last)):
                run.append(tokens[ahead])
            elif word in _LINKS and ahead + 1 < len(tokens) and _is_capital(tokens[ahead + 1][0]):
                joins = word in _PARTICLES or run[-1][0].lower() in INSTITUTION | {"bank"}
                if not joins or sentence[tokens[ahead][2] : tokens[ahead + 1][1]] != " ":
                    break
                run.extend(tokens[ahead : ahead + 2])
                ahead += 1
            else:
                break
            ahead += 1
        at_start = not _TOKEN.search(sentence[: run[0][1]])
        found.append((run, at_start, run[0][1], run[-1][2]))
        index = max(ahead, index + 1)
    return found


def _is_capital(word: str) -> bool:
    return word[:1].isupper() or (len(word) > 2 and word[0].islower() and word[1].isupper())


def _is_heading(sentence: str) -> bool:
    if re.search(r"[.!?…][\"'”’)\]]*$", sentence):
        return False
    tokens = [token for token in _TOKEN.findall(sentence) if token.lower() not in STOP_WORDS]
    return bool(tokens) and sum(_is_capital(token) for token in tokens) / len(tokens) > 0.6


def _without_opener(
    tokens: list[tuple[str, int, int]], lowered: Counter[str], known: Counter[str]
) -> tuple[str, list[tuple[str, int, int]]]:
    dropped = ""
    first, parts = tokens[0][0], {token[0].lower() for token in tokens}
    is_trade = _TRADE.fullmatch(first) and first.lower() not in _GIVEN_NAMES_LIKE_TRADES
    if len(tokens) > 2 and is_trade and not parts & (COMPANY | INSTITUTION):
        # "Painter Gregor Tulloch": an occupation that only the sentence's start makes a capital.
        return f"{first} ", tokens[1:]
    while tokens:
        word = tokens[0][0]
        low = word.lower()
        plain = low in STOP_WORDS or (
            not dropped
            and not looks_odd(word)
            and low not in TITLES
            and (lowered[low] > 0 or (documents_with(low) > 2 and not known[word]))
        )
        following = tokens[1][0].lower() if len(tokens) > 1 else ""
        if low not in STOP_WORDS and following in COMPANY | INSTITUTION | PLACE | _LINKS:
            break
        if len(tokens) > 1 and MODEL_NUMBER.fullmatch(tokens[1][0]) and low not in STOP_WORDS:
            break
        if low == "new" and following in _NEW_PLACES:
            break
        if not plain:
            break
        dropped += word + " "
        tokens = tokens[1:]
    return dropped, tokens


def _is_shout(sentence: str, tokens: list[tuple[str, int, int]]) -> bool:
    """A place line in capitals: "ROTTERDAM — …"."""
    written = sentence[tokens[0][1] : tokens[-1][2]]
    return written.isupper() and len(written) > 3 and bool(re.match(r"[^—–.]{0,30}[—–-] ", sentence[tokens[-1][2] :]))


def _joined(tokens: list[tuple[str, int, int]], sentence: str) -> str:
    for place in range(len(tokens) - 2, 0, -1):
        # "Senate President Bukola Saraki": what stands before an office is not part of the name.
        if tokens[place][0].lower() in _INNER_TITLES and len(tokens) - place > 2:
            tokens = tokens[place + 1 :]
            break
    name = sentence[tokens[0][1] : tokens[-1][2]]
    return re.sub(r"\s+", " ", name)


def _can_be_name(name: str, lowered: Counter[str]) -> bool:
    parts = name.split()
    if len(name) < 2 or len(parts) > 7 or name.isdigit():
        return False
    if all(part.lower() in _STOP_NAMES | STOP_WORDS or part.isdigit() for part in parts):
        return False
    if (len(parts) == 1 and len(name) <= 2) or _COUNTED.fullmatch(name):
        return False
    # A word that the text also writes small is a word (a capital in a heading, after a colon, for emphasis).
    return len(parts) > 1 or looks_odd(name) or lowered[name.lower()] == 0


def _note(seen: _Seen, before: str, after: str, name: str, position: int, *, mid: bool) -> None:
    seen.count += 1
    seen.mid += mid
    seen.first = min(seen.first, position)
    seen.votes.update(votes_for(name, before, after))


def _merged(seen: dict[str, _Seen]) -> dict[str, _Seen]:
    """Short forms into their longer one; titles off the front; "The" off too."""
    cleaned: dict[str, _Seen] = defaultdict(_Seen)
    for name, entry in seen.items():
        _add(cleaned[_bare(name)], entry)
    longest_first = sorted(cleaned, key=lambda n: (-len(n.split()), n))
    result: dict[str, _Seen] = {}
    for name in longest_first:
        entry = cleaned[name]
        whole = [longer for longer in result if longer != name and (_is_part(name, longer) or _acronym(longer) == name)]
        if whole:
            home = max(whole, key=lambda n: (result[n].count, -result[n].first))
            _add(result[home], entry)
            # People go on by their last name, organisations by their first word.
            if home.endswith(f" {name}") and documents_with(name.lower()) == 0:
                result[home].votes["person"] += 3
            elif home.startswith(f"{name} "):
                result[home].votes["company"] += 1
        else:
            result[name] = entry
    return result


def _add(into: _Seen, other: _Seen) -> None:
    into.count += other.count
    into.mid += other.mid
    into.first = min(into.first, other.first)
    into.votes.update(other.votes)


def _bare(name: str) -> str:
    parts = name.split()
    while len(parts) > 1 and parts[0].lower().rstrip(".") in TITLES | {"the", "chief", "executive", "vice"}:
        parts = parts[1:]
    while len(parts) > 1 and parts[-1].lower() in _STOP_NAMES - {"ai", "us"}:
        parts = parts[:-1]
    return " ".join(parts)


def _is_part(name: str, longer: str) -> bool:
    parts, whole = name.split(), longer.split()
    begins, ends = whole[: len(parts)] == parts, whole[-len(parts) :] == parts
    if len(parts) >= len(whole) or (begins and MODEL_NUMBER.fullmatch(whole[-1])):
        return False
    return begins or (ends and whole[-1].lower() not in INSTITUTION | COMPANY)


def _acronym(name: str) -> str:
    parts = [part for part in name.split() if part[0].isupper()]
    return "".join(part[0] for part in parts) if len(parts) > 2 else ""


def _best(seen: dict[str, _Seen], limit: int) -> list[Mention]:
    scored = []
    for name, entry in seen.items():
        kind, sure = _kind(name, entry)
        if not entry.mid and entry.count < 2 and sure < 3:
            continue
        if name.lower() in INSTITUTION | COMPANY | PRODUCT_NOUN | PLACE:
            continue
        if kind == "other" and entry.count < 2:
            continue
        weight = entry.count + min(sure, 8) / 3 + 2 / entry.first + (1 if " " in name or looks_odd(name) else 0)
        weight -= 1.5 if name.isupper() and kind == "other" else 0
        weight -= 3 if kind == "place" else 1.5 if kind == "other" else 0
        scored.append((-weight, entry.first, name, kind))
    return [Mention(name, kind) for _, _, name, kind in sorted(scored)[:limit]]


def _kind(name: str, entry: _Seen) -> tuple[str, int]:
    votes = entry.votes.copy()
    votes["person" if " " in name else "company"] += votes.pop("speaker", 0)
    order = ("institution", "company", "product", "person", "place")
    kind = max(order, key=lambda k: (votes[k], -order.index(k)))
    return (kind, votes[kind]) if votes[kind] > 1 else ("other", 0)
