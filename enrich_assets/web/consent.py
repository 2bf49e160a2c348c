"""Consent dialogues: how their text is told from an article's, and pages without them.

Belongs here: the words of consent (cookies, partners, preferences …) in the languages of most such dialogues. What is
read in their place belongs to `web.extract`.
"""

from __future__ import annotations

import re
from typing import Any

from enrich_assets.web.markup import text_of

_TOPICS = tuple(
    re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
    for words in (
        r"cookies?|trackers?|traceurs|rastreadores",
        r"consent|agree(?:ing|ment)?|einwilligung|zustimm(?:en|ung)|einverstanden|consentement|consentimiento|consenso"
        r"|acconsent\w+|toestemming|akkoord|zgod[aęy]",
        r"partners?|third[ -]part(?:y|ies)|vendors?|partnern|drittanbieter|partenaires|socios|proveedores|fornitori",
        r"personal (?:data|information)|personenbezogene\w*|données (?:personnelles|à caractère personnel)"
        r"|datos personales|dati personali|persoonsgegevens|dados pessoais|dane osobowe",
        r"devices?|browser|endgerät\w*|gerät\w*|appareils?|terminal|dispositivos?|apparaat",
        r"preferences|choices|settings|einstellungen|präferenzen|préférences|paramètres|choix|preferencias|preferenze"
        r"|voorkeuren|preferências|ustawienia",
        r"privacy|datenschutz\w*|confidentialité|vie privée|privacidad|privacidade|prywatności",
        r"legitimate interests?|(?:right to )?object|widersprechen|berechtigte\w* interesse\w*|intérêts? légitimes?"
        r"|interés legítimo|legittimo interesse|gerechtvaardigd belang",
        r"accept(?:ing)?|reject|refuse|decline|akzeptieren|ablehnen|accepter|refuser|aceptar|rechazar|accetta\w*"
        r"|rifiuta\w*|accepteren|weigeren|aceitar|rejeitar",
        r"withdraw|at any time|jederzeit|widerrufen|à tout moment|retirer|en cualquier momento|in qualsiasi momento",
        r"advertising|ads|marketing|analytics|statistics|werbung|statistik\w*|publicité|publicidad|pubblicità",
    )
)
_ADDRESS = re.compile(
    r"\b(?:you|your|we|our|us|sie|ihre?[nrms]?|wir|unsere?[nrms]?|vous|votre|vos|nous|notre|nos|usted|sus?|nuestr[oa]s?"
    r"|tuoi?|tua|nostr[oaie]|noi|uw?|wij|onze|você|seus?|nossos?|twoje?|nasze?|nasi)\b",
    re.IGNORECASE,
)
_NAMES = re.compile(
    r"cookie|consent|gdpr|\bcmp\b|cmp-|privacy|onetrust|didomi|usercentrics|sp_message|dialog|modal|overlay",
    re.IGNORECASE,
)
_LEAST_WORDS = 20
_LEAST_TOPICS = 5
_TOPIC_SHARE, _ADDRESS_SHARE = 0.06, 0.04
_MOST_CHARACTERS = 20_000
_MOST_READ = 5_000_000
"""Characters of elements that are judged, all together: those of nested ones count again at each level."""


def is_consent(text: str) -> bool:
    """Whether a text asks its reader to agree to cookies and the like.

    Five of eleven topics of such dialogues, in 6 % of the words, with 4 % of words that address the reader: articles
    about privacy have the topics, and speak of others.
    """
    text = text[:_MOST_CHARACTERS]
    words = text.count(" ") + text.count("\n") + 1
    if words < _LEAST_WORDS:
        return False
    found = [sum(1 for _ in topic.finditer(text)) for topic in _TOPICS]
    if sum(map(bool, found)) < _LEAST_TOPICS or sum(found) < _TOPIC_SHARE * words:
        return False
    return sum(1 for _ in _ADDRESS.finditer(text)) >= _ADDRESS_SHARE * words


def without_consent(tree: Any) -> bool:
    """Takes the dialogues out of an lxml tree of a page; says whether there were any.

    A dialogue is an element that asks for consent and holds next to nothing else, or half where it is named or marked
    as one (lists of partners); the outermost of them go.
    """
    body = next(iter(tree.iter("body")), tree)
    pending, removed, room = list(body), False, _MOST_READ
    while pending and room > 0:
        element = pending.pop()
        if not isinstance(element.tag, str) or element.tag in ("script", "style", "p"):
            continue
        text = text_of(element)
        room -= len(text)
        if is_consent(text) and _others(element) <= (0.5 if _is_named(element) else 0.1) * len(text):
            element.drop_tree()
            removed = True
        else:
            pending.extend(element)
    return removed


def _others(element: Any) -> int:
    """Characters of the larger blocks in an element that ask for no consent."""
    return sum(len(part) for part in _parts(element) if not is_consent(part))


def _is_named(element: Any) -> bool:
    if element.get("role") in ("dialog", "alertdialog") or element.get("aria-modal") == "true":
        return True
    return _NAMES.search(f"{element.get('id', '')} {element.get('class', '')}") is not None


def _parts(element: Any) -> list[str]:
    """The texts of the larger blocks in an element, of which one may be the article."""
    blocks = [child for child in element if isinstance(child.tag, str) and child.tag not in ("p", "h1", "h2", "button")]
    texts = [text_of(block) for block in blocks]
    return [text for text in texts if text.count(" ") >= _LEAST_WORDS]
