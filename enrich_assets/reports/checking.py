"""Whether the numbers of a run's reports are those of its artifacts: what `enrich check RUN --numbers` does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from enrich_assets.core.envelope import Envelope
from enrich_assets.reading import Run
from enrich_assets.reports.kinds import NUMBERS, OWN, PUBLISHED, report_type
from enrich_assets.reports.material import Material
from enrich_assets.reports.numbers import Number, disagreeing, listed_numbers, numbers_of, page_of, shown_wrongly
from enrich_assets.reports.origins import Artifacts, NoSuchOrigin


@dataclass(frozen=True)
class Checked:
    """How many numbers were recomputed, in how many places pages show them, and a sentence for each that disagrees."""

    numbers: int
    shown: int
    disagree: list[str]


def check_numbers(run: Run) -> Checked:
    """Recomputes the numbers of the published reports from the run's artifacts, and reads the pages that show them.

    Types that were not published with the run are made anew and checked likewise. Raises ArtifactMissing for a run
    without a report and ArtifactDamaged for one whose report does not match its hash.
    """
    material = Material.of(run)
    document = numbers_of(material.news.model_dump(mode="json"))
    envelope = run.envelope(run.graph.last.name)
    published, disagree = _published(run, envelope)
    numbers = {name: published[name] for name in published if name != "news"}
    numbers |= {name: _anew(material, name) for name in PUBLISHED if name not in published and name != "news"}
    numbers["news"] = document
    if "news" in published:
        disagree += _other_than_document(document, published["news"])
    artifacts = Artifacts(run)
    for name, found in numbers.items():
        own = report_type(name).own or name if name in OWN else name
        disagree += disagreeing(name, own, found, artifacts)
    shown, wrong = _shown(run, envelope, numbers)
    return Checked(sum(len(found) for found in numbers.values()), shown, disagree + wrong)


def _published(run: Run, envelope: Envelope) -> tuple[dict[str, list[Number]], list[str]]:
    name = f"reports/{NUMBERS}"
    if name not in envelope.files:
        return {}, []
    try:
        return listed_numbers(run.file(name)), []
    except NoSuchOrigin as error:
        return {}, [f"{name}: {error.what}"]


def _anew(material: Material, name: str) -> list[Number]:
    return numbers_of(report_type(name).content(material).model_dump(mode="json"))


def _other_than_document(document: list[Number], listed: list[Number]) -> Iterator[str]:
    known = {number.pointer: number for number in document}
    for number in listed:
        if known.pop(number.pointer, None) != number:
            yield f"{NUMBERS} says {number.value!r:.40} for news {number.pointer}, and the report's document does not."
    for pointer in known:
        yield f"{NUMBERS} does not list news {pointer}."


def _shown(run: Run, envelope: Envelope, numbers: dict[str, list[Number]]) -> tuple[int, list[str]]:
    shown = 0
    wrong: list[str] = []
    for name in envelope.files:
        if not name.startswith("reports/") or not name.endswith(".html"):
            continue
        page = page_of(run.file(name).decode("utf-8", "replace"))
        known = {number.pointer: number for number in numbers.get(page.report, [])}
        shown += len(page.found)
        wrong += shown_wrongly(name, page, known)
    return shown, wrong
