"""The sentence of a text that says what a name is: the definition a reader would quote."""

from __future__ import annotations

import re
from functools import lru_cache

from enrich_assets.models.cues import TITLES
from enrich_assets.models.text import STOP_WORDS, sentences, word_set

_ARTICLE = r"(?:an?|the|one of the|its|Europe['’]s|America['’]s|Germany['’]s|eine?|der|die|das)"
# In German "X, die …" opens a relative clause far more often than an apposition.
_OPENS_ASIDE = r"(?:an?|the|one of the|its|Europe['’]s|America['’]s|Germany['’]s|eine?)"
_IS = r"(?:is|was|are|were|ist|war|sind|waren)"
_DOES = r"(?:makes|builds|develops|produces|publishes|operates|designs|manufactures|supplies|sells|provides|offers)"
# "makes chips", not "makes its case", "builds on", "sells more": what a firm does is said without a determiner.
_OBJECT = (
    r"(?!(?:an?|the|its|his|her|their|this|that|these|it|up|on|off|out|for|in|to|more|less|no|any|some|sure|\d+)\b)"
)
_LEADS = r"(?:leads|heads|directs)"
# What stands before the subject of "is". In "changes to Windows 11 is the …" the name stands behind another word.
_CONJUNCTIONS = (
    "that", "because", "but", "while", "where", "whereas", "when", "though", "although", "since", "yet", "if",
    "said", "says",
)  # fmt: skip
_TITLE = rf"(?:(?:{'|'.join(sorted(title.capitalize() for title in TITLES))})\.? )"
# "The software maker Corvane Systems said": the noun right before the name says what it is.
_KIND = (
    r"(?:[a-z]{2,}maker|maker|manufacturer|producer|supplier|developer|operator|retailer|publisher|provider|company|"
    r"firm|group|start-?up|agency|institute|association|charity|airline|bank|insurer|network|platform|service|website|"
    r"browser|broadcaster|newspaper|magazine|studio|regulator|watchdog|think tank|nonprofit|subsidiary|giant|"
    r"university|museum|party|league|movement|economist|physicist|chemist|"
    r"historian|engineer|architect|researcher|entrepreneur|lawyer|journalist|novelist|surgeon)"
)
# "The founders left the company Norra had bought": a second determiner opens another phrase.
_MODIFIER = r"(?!(?:and|or|the|an?|of|in|at|its|his|her|their|this|that|which|who|is|was)\b)[\w’'-]+"
_KIND_DE = (
    r"(?:[\w-]*(?:hersteller|konzern|unternehmen|anbieter|betreiber|entwickler|händler|behörde|institut|verband|"
    r"dienst|bank|versicherer|verlag)s?)"
)
# "chief executive Jane Doe of X", "US President Ola Brandt", "Norra founder Bo Lind": the office right before a name.
_OFFICE = (
    r"(?:[Cc]hief [Ee]xecutive(?: [Oo]fficer)?|CEO|CFO|CTO|COO|[Pp]resident|[Pp]rime [Mm]inister|[Cc]hancellor|"
    r"(?:[A-Z][a-z]+ |[a-z]+ )?[Mm]inister|[Ss]ecretary of [Ss]tate|[Ss]enator|Sen\.|Rep\.|Gov\.|[Gg]overnor|[Mm]ayor|"
    r"Pope|King|Queen|(?:co-)?founder|chair(?:man|woman)|[Cc]ommissioner|actor|actress|singer|rapper|musician|"
    r"songwriter|author|novelist|analyst|economist|physicist|biologist|astronomer|historian|engineer|architect|"
    r"journalist|lawyer|entrepreneur|billionaire|comedian|film-?maker|designer|photographer|activist|footballer|coach|"
    r"spokes(?:man|woman|person)|Vorstandschef(?:in)?|Geschäftsführer(?:in)?|Bundeskanzler(?:in)?|Präsident(?:in)?|"
    r"Ministerpräsident(?:in)?)"
)
# What names no kind of thing: events, moments, opinions. "X, a move that …", "X is an addition to …".
_NO_KIND = word_set(
    """day days week weeks month months year years decade time times moment moments morning evening night weekend
    second minute hour season summer winter spring autumn step steps move sign signal decision blow boost result
    results reason reasons way ways example examples case cases fact figure number rise fall increase decrease drop
    decline change changes shift claim charge allegation victory win loss defeat success failure addition improvement
    problem issue question answer matter thing things one ones lot bit few rest half kind sort type priority promise
    hope fear threat risk must surprise shame joy pleasure love mercy topic subject theme choice option alternative
    favourite favorite reminder trend phenomenon cause effect impact difference mistake error disaster tragedy relief
    warning response reaction act action attempt effort chance opportunity challenge start beginning end trip visit
    journey meeting vote process truth lie target best worst latest first last next same only same right wrong better
    cost price percentage share part parts amount distance statement report study finding deal agreement
    tag woche monat jahr schritt zeichen grund fall teil erfolg problem frage beispiel mann stunde nacht"""
)
_MOMENTS = word_set(
    """monday tuesday wednesday thursday friday saturday sunday january february march april may june july august
    september october november december montag dienstag mittwoch donnerstag freitag samstag sonntag januar februar
    märz mai juni juli oktober dezember today yesterday tomorrow christmas easter"""
)
_BEFORE_A_SUBJECT = "|".join(
    ["^", r"(?<=[,;:–—] )", r"(?<=[(\"“])", *(rf"(?<=\b(?i:{word}) )" for word in _CONJUNCTIONS)]
)


def definition_sentence(name: str, text: str) -> str | None:
    """The sentence of `text`, verbatim, that says what `name` is; None when no sentence does.

    "X is a …", "X was the …", "X, a maker of …, …", "X (…) is an …", "X makes …, based in …" for whole names only,
    and the name must be the subject of its "is": "a change to X is the …" does not say what X is. Stronger forms win
    over weaker ones, earlier sentences over later ones. The weakest is a noun before the name: "the software maker X",
    "chief executive Jane Doe". German sentences are read for the same forms.
    """
    parts = name.split()
    if name.lower() in _MOMENTS:
        return None
    all_sentences = [s for s in sentences(text) if len(s) <= 600 and re.search(r"[.!?][\"'”’)]*$", s)]
    best: tuple[float, str] | None = None
    for index, sentence in enumerate(all_sentences):
        if not all(part in sentence for part in parts):
            continue  # found out at a hundredth of the price
        for pattern, strength in _patterns(name):
            match = pattern.search(sentence)
            if match is None or _is_part_of_a_name(sentence[: match.start("name")]):
                continue
            # The pattern ends at the first noun; what the description is about may come after it.
            if _says_nothing(sentence[match.start() : match.end() + 80]) or _is_aside_of_nothing(sentence, match):
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
    opening = rf"^(?:[A-ZÄÖÜ][\w'’-]*(?: [\w'’-]+){{1,7}}, )(?:[Tt]he )?{exact}"
    found = (
        (rf"{start}{aside}(?:, [^,]{{1,80}},)? {_IS} {_ARTICLE} {noun}", 1.0),
        (rf"{opening}{aside} {_IS} {_ARTICLE} {noun}", 0.9),
        (rf"{start}{aside} {_IS} (?:[\w-]+['’]s? )(?:[\w'’-]+ ){{1,5}}", 0.75),
        (rf"{start}{aside}, {_OPENS_ASIDE} [^,;]{{8,120}}[,.;]", 0.8),
        (rf"{exact}{aside}, {_OPENS_ASIDE} [^,;]{{8,120}}[,.;]", 0.7),
        (rf"(?:{_BEFORE_A_SUBJECT})(?:[Tt]he )?{exact} {_IS} {_ARTICLE} {noun}", 0.6),
        (rf"{start}{aside} (?:{_DOES} {_OBJECT}|{_LEADS} the )", 0.55),
        (
            rf"{exact}, (?:[\w-]+ ){{0,2}}?(?:chief|head|director|president|founder|co-founder|professor|CEO|CFO|CTO|"
            rf"chair(?:man|woman)?|analyst|economist|manager|editor|spokes(?:man|woman|person))\b[^,;]{{0,100}}[,.;]",
            0.65,
        ),
        (rf"\b(?:[Tt]he|[Aa]n?) (?:{_MODIFIER} ){{1,4}}{_KIND} {exact}(?! (?:and|or)\b|['’]s| [A-Z])", 0.5),
        (
            rf"\b(?=[\w-]{{3}}){_MODIFIER} {_KIND} {exact}(?! (?:and|or)\b|['’]s| [A-Z])",
            0.45,
        ),
        (rf"\b(?:[Dd]er|[Dd]ie|[Dd]as|[Dd]en|[Dd]em|[Bb]eim) (?:[\w-]+ )?{_KIND_DE} {exact}(?! und\b)", 0.5),
        (rf"\b{_OFFICE} {exact} (?:of|at|from) (?:the )?[A-Z]", 0.58),
        (rf"(?<![\w-]){_OFFICE} {exact}(?!['’]s| and [A-Z]| [A-ZÄÖÜ])", 0.5),
    )
    return [(re.compile(pattern), strength) for pattern, strength in found]


def _is_part_of_a_name(before: str) -> bool:
    """Whether a capital stands right before: "Brenner Analytics is …" does not define "Analytics"."""
    if re.search(rf"\b(?:{_KIND_DE}|{_OFFICE}) $", before):
        return False
    word = re.search(r"([A-Z][\w-]*)\.? $", before)
    return word is not None and word.group(1).lower() not in TITLES | STOP_WORDS


def _says_nothing(matched: str) -> bool:
    """Whether the article opens no description: "X is the first to say so", "X, the day after", "X, a move that …"."""
    opened = re.search(rf"(?:\b{_IS}|,) (?P<article>{_ARTICLE}) (?P<said>.*)$", matched, re.DOTALL)
    if opened is None:
        return False
    said = opened.group("said")
    first = re.match(r"[\w'’-]+", said)
    if first is not None and first.group().lower() in _NOT_FIRST:
        return True
    return _head(said) in _NO_KIND


_NOT_FIRST = word_set(
    """first last only same right wrong best worst day week month year morning time reason case problem question answer
    result bit lot little few moment other next most-read least more less kind sort"""
)
_ENDS_HEAD = re.compile(
    r"[,.;:()–—]|\s(?:of|for|in|at|from|to|that|which|who|whose|where|when|with|on|by|and|or|after|before|as|than|under|"
    r"over|between|behind|he|she|it|they|we|i|has|had|is|was|will|can|based|made|called|known|owned|run|von|für|aus|mit|"
    r"des|der|nach|im|bei)\b",
    re.IGNORECASE,
)


def _head(said: str) -> str:
    """The head noun of a description, in lower case: "maker" of "Dutch maker of chips"."""
    phrase = _ENDS_HEAD.split(said.strip(), maxsplit=1)[0].split()
    return phrase[-1].lower().strip("'’\"”") if phrase else ""


def _is_aside_of_nothing(sentence: str, match: re.Match[str]) -> bool:
    """A comma after the name that opens no apposition: "After a week in Perth, the door …", "SUVs, a car, a van"."""
    comma = re.search(rf", {_OPENS_ASIDE} ", match.group())
    if comma is None:
        return False
    said = match.group()[comma.end() :]
    before = sentence[: match.start("name")]
    closed_by_end = match.group()[-1] == "." and not sentence[match.end() :].strip("\"'”’) ")
    if closed_by_end and not re.search(r"[a-zäöü]", before):
        return True  # no verb is left for the name: a fragment, or a heading
    if re.search(r"\b(?:and|or|und|oder) (?:an?|the|several|another|eine?) ", said) and not _is_role(_head(said)):
        return True  # a list: "a castle and a lake"
    if re.search(r", $", before) and re.search(r"(?:^|[,:] )(?:an?|the) [\w-]+, $", before):
        return True
    opened = re.match(
        r"[\"“]?(?:Nach|Bei|Mit|Seit|Wegen|After|At|As|Before|Between|By|Despite|During|For|From|If|In|Inside|Like|Near|On|Outside|Since|"
        r"Though|Although|Through|To|Under|Unlike|Until|When|While|With|Without|Following|Instead|According)\b",
        sentence,
    )
    if opened and "," not in sentence[: match.start() + comma.start()]:
        return True
    if re.match(r"\s*(?:and )?(?:an?|several|the|another) ", sentence[match.end() :]):
        return True
    inside = re.split(r"\b(?:who|which|that|where|whose)\b", match.group()[comma.start() :])[0]
    return bool(re.search(r"\b(?:is|was|are|were|has|had|have|will|would|can|could|said|says)\b", inside))


def _is_role(noun: str) -> bool:
    """Whether a noun names what a person is: of these a description may list two, "a writer and a teacher"."""
    return bool(re.fullmatch(r"[a-z-]+(?:er|or|ist|ian|man|woman|eer|ant|chief|head|chair|partner|lawyer)", noun))
