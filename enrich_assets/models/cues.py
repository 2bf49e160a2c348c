"""The cue words that say what kind of thing a name names: company, institution, person, product or place.

Each cue gives votes; `names` adds them up over all mentions. No list of known names, only words around and in them.
"""

from __future__ import annotations

import re
from collections import Counter

from enrich_assets.models.text import word_set

COMPANY = word_set(
    """inc corp corporation co company ltd llc plc gmbh ag sa nv bv ab oy kg group holding holdings labs lab systems
    technologies technology robotics foundry semiconductors semiconductor analytics instruments software industries
    dynamics motors motor airlines airways partners capital ventures pharma pharmaceuticals therapeutics biosciences
    energy electronics networks media studios entertainment logistics automation aerospace materials computing bank
    insurance brothers sons works solutions interactive games health healthcare devices microsystems steel
    chemicals foods"""
)
INSTITUTION = word_set(
    """institute university college academy laboratory laboratories centre center foundation hospital clinic school
    office agency commission ministry department council authority association federation committee court parliament
    senate congress government administration bureau union board society trust museum observatory institution unit
    party league police fund forum consortium alliance directorate"""
)
PLACE = word_set(
    """street avenue road river lake mount valley island islands bay county city harbor harbour port airport square
    park beach province district coast peninsula desert sea ocean bridge"""
)
PRODUCT_NOUN = word_set(
    """model models chip chips accelerator processor app software platform suite tool toolkit assistant robot engine
    library framework dataset device drug vaccine phone smartphone laptop console browser service sedan suv
    headset tablet controller sensor camera printer drone game card algorithm chatbot benchmark programme program
    plug-in edition version line series"""
)
_COMPANY_NOUN = word_set(
    """company firm startup start-up maker manufacturer group vendor supplier publisher retailer chipmaker carmaker
    automaker operator developer employer shares stock giant business plant factory wholesaler foundry builder insurer
    carrier lender distributor dealer brewer shipyard utility airline provider spin-off spinoff subsidiary warehouse
    depot shareholders investors"""
)
_COMPANY_NOUNS = "|".join(sorted(_COMPANY_NOUN))
TITLES = word_set(
    """mr mrs ms dr prof professor sir dame judge justice president senator governor minister chancellor secretary
    captain general colonel detective officer sergeant lieutenant inspector mayor king queen prince princess pope ceo
    superintendent cfo cto chairman chairwoman director commissioner ambassador coach"""
)
_ROLE = (
    r"(?:chief|head|director|president|chair(?:man|woman)?|founder|co-founder|professor|analyst|researcher|engineer|"
    r"manager|minister|spokes(?:man|woman|person)|scientist|economist|lawyer|editor|author|physician|doctor|nurse|"
    r"lead(?:er)?|member|secretary|commissioner|judge|foreman|operator|planner|technician|partner|owner|executive)"
)
_SPEECH = (
    r"(?:said|says|told|added|adds|wrote|writes|explained|explains|argued|argues|noted|asked|recalled|insisted|"
    r"admitted|warned|warns|replied|joked|laughed|believes|thinks|remembers|testified)"
)
_LAUNCH = (
    r"(?:launch(?:ed|es|ing)?|unveil(?:ed|s|ing)?|releas(?:ed|es|ing)|introduc(?:ed|es|ing)|announc(?:ed|es|ing)|"
    r"called|named|dubbed|ship(?:ped|s|ping)?|install(?:ed|s|ing)|runs? on|powered by|version of|built on|sells?|"
    r"install|using|use of|uses|upgrade to|licen[cs]e for|code-?named)"
)
_ACTS = (
    r"(?:said|says|announced|unveiled|launched|reported|plans|acquired|raised|sells|makes|ships|hired|expects|"
    r"declined|employs|builds|opened|signed|agreed|released|supplies|bought|posted|develops|introduced)"
)
COPULA = re.compile(r"(?: \([^)]{1,40}\))?(?: (?:is|was) |, )(?:an?|the) ")
MODEL_NUMBER = re.compile(
    r"(?:[A-Z][A-Za-z]*-\d[\w.]*|[A-Z]{1,3}\d+[A-Za-z]?|[A-Z][a-z]+\d+[A-Za-z]?|\d{1,3}[A-Z]?|[IVX]{2,4})"
)


def votes_for(name: str, before: str, after: str) -> dict[str, int]:
    """Votes by kind for one mention: `before` and `after` are the rest of its sentence.

    `speaker` is a person or a company, whoever else the name turns out to be.
    """
    votes: Counter[str] = Counter()
    parts = name.split()
    last, first = parts[-1].lower().rstrip("."), parts[0].lower().rstrip(".")
    low = {part.lower() for part in parts}
    if len(parts) > 1 and (last in COMPANY or low & {"inc", "ltd", "gmbh", "corp", "labs"}):
        votes["company"] += 6
    if low & INSTITUTION:
        votes["institution"] += 7
    if len(parts) > 1 and last in PLACE | {"east", "west"}:
        votes["place"] += 4
    if len(parts) > 1 and first in ("lake", "mount", "port", "fort", "new", "san", "los", "las", "north", "south"):
        votes["place"] += 2
    if re.search(r"[a-z](?:works|soft|tech|bank|corp)$", name):
        votes["company"] += 2
    if MODEL_NUMBER.fullmatch(parts[-1]):
        votes["product"] += 2 if parts[-1].isdigit() else 6
    if first == "project" and len(parts) > 1:
        votes["product"] += 3
    if first in TITLES and len(parts) > 1:
        votes["person"] += 6
    people_shape = 2 <= len(parts) <= 4 and all(re.fullmatch(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*\.?", p) for p in parts)
    following = re.match(r"\W*\s([\w-]+)", after)
    next_word = following.group(1).lower() if following else ""
    if re.match(rf",? (?:\w+ly )?{_SPEECH}\b", after) or re.search(rf"\b{_SPEECH} $", before):
        votes["person" if people_shape else "speaker" if len(parts) == 1 else "company"] += 3
    if people_shape and re.match(rf", (?:who\b|(?:an? |the |its |their |our )?(?:[\w-]+ ){{0,4}}{_ROLE}\b)", after):
        votes["person"] += 4
    if re.search(rf"\b{_ROLE},? $", before) and len(parts) <= 4:
        votes["person"] += 4
    if re.match(r",? \d\d,", after):
        votes["person"] += 4
    if re.match(r"['’]s? (?:chief|founder|spokes|shares|chairman|customers|factory|plant|engineers|board)", after):
        votes["company"] += 3
    if re.match(rf" {_ACTS}\b", after) and not people_shape:
        votes["company"] += 2
    if re.search(rf"\b{_ROLE}s? (?:of|at|for) $", before):
        votes["company"] += 3
    if next_word in _COMPANY_NOUN and len(parts) == 1 and re.search(r"\b[Tt]he $", before):
        votes["place"] += 1
    elif next_word in _COMPANY_NOUN or re.search(rf"\b(?:{_COMPANY_NOUNS}|rival) $", before):
        votes["company"] += 3
    copula = COPULA.match(after)
    if copula:
        votes.update(_described(after[copula.end() :]))
    if next_word in PRODUCT_NOUN and after[:1] == " ":
        votes["product"] += 3
    if re.search(rf"\b{_LAUNCH} (?:the |its |a |an |their |new )*$", before):
        votes["product"] += 2
    if re.search(r"(?:\b[A-Z]\w+['’]s?|\bits|\btheir) (?:new |latest |own |\w+ )?$", before) and not people_shape:
        votes["product"] += 2 if next_word in PRODUCT_NOUN or looks_odd(name) else 1
    if re.search(r"\b(?:in|near|outside|across) (?:[A-Z]\w+, )*(?:[A-Z]\w+,? and )?$", before) and len(parts) <= 3:
        votes["place"] += 2
    if re.search(r"\b(?:at|for|by|with) $", before):
        votes["company"] += 1
    if re.match(r" (?:[a-z-]+ )?(?:plant|factory|works|warehouse|depot|(?:distribution|data) cent(?:re|er))\b", after):
        votes["company"] += 2
    if re.match(r" in (?:\w+ )?[A-Z]", after) and re.search(r"\bat $", before):
        votes["company"] += 1
    if re.search(r"\b(?:based in|city of|town of|port of|headquartered in|plant in|office in) $", before):
        votes["place"] += 4
    return votes


def _described(words_after: str) -> dict[str, int]:
    """The kind that the first telling noun of a description speaks for: "maker of …", "software product …"."""
    phrase = re.sub(r"[\w-]+['’]s? ", "", re.split(r"[,.;]| that | which | who ", words_after)[0].lower())
    for word in re.split(r"[^\w-]+", phrase)[:8]:
        if re.fullmatch(_ROLE, word):
            return {"person": 5}
        if word in INSTITUTION:
            return {"institution": 5}
        if word in _COMPANY_NOUN or word == "designer":
            return {"company": 5}
        if word in PRODUCT_NOUN or word == "product":
            return {"product": 5}
        if word in PLACE | {"town", "village", "capital", "country", "region"}:
            return {"place": 5}
    return {}


def looks_odd(word: str) -> bool:
    """Whether the spelling alone marks a name: a digit, or a capital inside."""
    return bool(re.search(r"\d", word)) or (len(word) > 2 and any(c.isupper() for c in word[1:]))
