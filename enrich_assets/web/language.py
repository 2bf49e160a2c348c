"""Languages: the code that a source declares, and for a text a vote of its commonest words."""

from __future__ import annotations

import re

_VOTERS = 2000
_WORD = re.compile(r"[^\W\d_]+")

# The commonest function words of each language; a word that several languages share votes for each of them.
_STOP_WORDS: dict[str, frozenset[str]] = {
    code: frozenset(words.split())
    for code, words in {
        "en": "the of and to in is that it was for on are with as be at this have from or by not but what all were we "
        "when your can there an which their if will has more about",
        "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus "
        "er hat dass sie nach wird bei einer um am sind noch wie einem über",
        "fr": "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il sont la avec "
        "son cette ou elle aux mais nous comme été leur",
        "es": "de la que el en y a los se del las un por con no una su para es al lo como más o pero sus le ha me si "
        "sin sobre este ya entre cuando todo esta ser son",
        "it": "di e il la che in a per un è del non una sono con le si da dei nel i alla come anche della più gli al "
        "ha lo delle ma questo ai dal cui nella loro",
        "pt": "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem à "
        "seu sua ou ser quando muito há nos já também",
        "nl": "de het een en van in is dat op te zijn met voor niet die aan er om ook als bij maar dan door wordt naar "
        "heeft hebben nog worden over uit deze tot hij was werd kan",
        "sv": "och i att det som en på är av för med den till inte om ett har de från men var sig så kan när eller vi "
        "han hon ska också efter där vid under",
        "da": "og i at det er en til på som for af den med de ikke der var et har om fra men han vi ved kan så eller "
        "hun efter også blev være skal mere",
        "pl": "w i na z się nie do to że jest o jak po co od za dla przez oraz są tym już może tak ale czy był tego "
        "jego które być ze przy także",
    }.items()
}


def language_code(declared: str) -> str:
    """The ISO 639-1 code that a declaration such as `en-GB` or `de_AT` begins with; '' where it begins with none."""
    code = re.match(r"\s*([A-Za-z]{2})(?:[-_]|\s*$)", declared)
    return code.group(1).lower() if code else ""


def language_of(text: str) -> str:
    """The ISO 639-1 code of the language whose commonest words stand most often in `text`, or '' when unsure.

    Looks at the first 2,000 words; needs a share of 8 % and a lead of a fifth over the next language.
    """
    words = [match.group().lower() for match, _ in zip(_WORD.finditer(text), range(_VOTERS), strict=False)]
    if len(words) < 5:
        return ""
    votes = sorted(((sum(word in known for word in words), code) for code, known in _STOP_WORDS.items()), reverse=True)
    (most, winner), (second, _) = votes[0], votes[1]
    return winner if most >= 0.08 * len(words) and most >= 1.2 * second else ""
