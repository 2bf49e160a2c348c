"""Codes of languages: what a declaration means, and which codes mean one language for people who filter.

Which language a text is in belongs to `web.language`.
"""

from __future__ import annotations

import re

# ISO 639-1 withdrew the first five; the rest are ISO 639-2 and 639-3 codes and names that feeds write.
_OTHER_NAMES = {
    "iw": "he", "in": "id", "ji": "yi", "mo": "ro", "sh": "sr", "jp": "ja", "cn": "zh", "kr": "ko", "ua": "uk",
    "eng": "en", "english": "en", "deu": "de", "ger": "de", "german": "de", "deutsch": "de", "fra": "fr", "fre": "fr",
    "french": "fr", "spa": "es", "spanish": "es", "ita": "it", "italian": "it", "por": "pt", "portuguese": "pt",
    "nld": "nl", "dut": "nl", "dutch": "nl", "swe": "sv", "swedish": "sv", "dan": "da", "danish": "da", "nor": "no",
    "norwegian": "no", "nob": "nb", "nno": "nn", "fin": "fi", "finnish": "fi", "pol": "pl", "polish": "pl",
    "ces": "cs", "cze": "cs", "czech": "cs", "rus": "ru", "russian": "ru", "ukr": "uk", "ukrainian": "uk",
    "tur": "tr", "turkish": "tr", "ara": "ar", "arabic": "ar", "heb": "he", "hebrew": "he", "zho": "zh", "chi": "zh",
    "cmn": "zh", "yue": "zh", "chinese": "zh", "jpn": "ja", "japanese": "ja", "kor": "ko", "korean": "ko",
    "tha": "th", "thai": "th", "vie": "vi", "vietnamese": "vi", "hin": "hi", "hindi": "hi", "ell": "el", "gre": "el",
    "greek": "el", "hun": "hu", "hungarian": "hu", "ron": "ro", "rum": "ro", "romanian": "ro",
}  # fmt: skip
_NORWEGIAN = frozenset({"no", "nb", "nn"})


def language_code(declared: str) -> str:
    """The ISO 639-1 code of a declaration such as `en-GB`, `de_AT`, `zh-Hans`, `iw` or `eng`; '' where it has none."""
    found = re.match(r"\s*([A-Za-z]{2,12})(?:[-_.@,;]|\s|$)", declared)
    code = found.group(1).lower() if found else ""
    return _OTHER_NAMES.get(code, code if len(code) == 2 else "")


def same_language(one: str, other: str) -> bool:
    """Whether two codes mean one language to a reader: Norwegian is written no, nb and nn."""
    return one == other or (one in _NORWEGIAN and other in _NORWEGIAN)
