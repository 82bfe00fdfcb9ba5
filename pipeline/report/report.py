"""The report stage's work: the page, from the evaluation's files."""

from pathlib import Path

from pipeline.common.checksums import check_folder
from pipeline.common.errors import UserError
from pipeline.evaluation.predictions import REMEDY, read_records
from pipeline.images.reader import Place
from pipeline.report.comparison import Comparison, compare, here, read_runs
from pipeline.report.gallery import (
    PREDICTIONS_FILE,
    choose,
    make_cards,
    picture_uses,
    telling,
)
from pipeline.report.measures import METRICS_FILE, Measures, read_measures
from pipeline.report.page import Report, render, write_page
from pipeline.report.pictures import Picture, fit_pictures

PAGE_FILE = "index.html"
UNSEEN = Picture(b"", 1000, 1000)
"""Stands for a picture while the page without pictures is measured."""


def write_report(
    evaluation: Path,
    raw: Path,
    metrics: Path,
    out: Path,
    max_stories: int,
    max_bytes: int,
    compared: list[str],
) -> int:
    """Write index.html.

    Args:
        evaluation: folder with predictions.jsonl and metrics_full.json.
        raw: folder of the raw stories.
        metrics: metrics.json; read where experiments are compared.
        out: folder to write.
        max_stories: in the gallery, at most.
        max_bytes: of index.html, at most.
        compared: experiments or revisions to set beside this run.

    Returns:
        The size of index.html in bytes.

    Raises:
        UserError: if a file is missing or not what a stage writes, if the pictures do not fit, or
            if there is no experiment or revision of a name.
    """
    check_folder(evaluation, (METRICS_FILE, PREDICTIONS_FILE), REMEDY)
    measures = read_measures(evaluation / METRICS_FILE)
    records = list(read_records(evaluation / PREDICTIONS_FILE))
    if not records:
        raise UserError(f"{evaluation / PREDICTIONS_FILE} holds no story; {REMEDY}")
    comparison = _compared(compared, metrics, evaluation / METRICS_FILE, measures)

    shown = choose(records, max_stories, measures.headline)
    featured = telling(shown, measures.headline)
    sizes = {split: part.stories for split, part in measures.splits.items()}

    def report(pictures: dict[Place, Picture]) -> Report:
        cards = make_cards(shown, pictures, sizes)
        return Report(measures, cards, featured, len(records), comparison)

    uses = picture_uses(shown, [shown[i] for _, i in featured])
    bare = len(render(report(dict.fromkeys(uses, UNSEEN))).encode("utf-8"))
    pictures = fit_pictures(raw, uses, max_bytes - bare)
    return write_page(report(pictures), out / PAGE_FILE)


def _compared(names: list[str], metrics: Path, full: Path, measures: Measures) -> Comparison | None:
    if not names:
        return None
    return compare([here(metrics, measures), *read_runs(names, metrics, full)], measures.headline)
