"""The report stage's work: the page, from the evaluation's files."""

from pathlib import Path

from pipeline.common.checksums import check_folder
from pipeline.common.errors import UserError
from pipeline.common.files import write_bytes
from pipeline.evaluation.results import (
    MEASURES_FILE,
    PREDICTIONS_FILE,
    REMEDY,
    read_measures,
    read_records,
)
from pipeline.images.reader import Place
from pipeline.report.comparison import compare, here, read_run
from pipeline.report.gallery import choose, make_cards, picture_uses, telling
from pipeline.report.page import Report, render
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
    """Write index.html into `out`, of at most `max_bytes`, and return its size in bytes.

    Args:
        evaluation: folder with predictions.jsonl and metrics_full.json.
        raw: folder of the raw stories.
        metrics: metrics.json; read where experiments are compared.
        compared: experiments or revisions to set beside this run.

    Raises:
        UserError: if a file is missing or not what a stage writes, if the pictures do not fit, or
            if there is no experiment or revision of a name.
    """
    check_folder(evaluation, (MEASURES_FILE, PREDICTIONS_FILE), REMEDY)
    measures = read_measures(evaluation / MEASURES_FILE)
    records = list(read_records(evaluation / PREDICTIONS_FILE))
    if not records:
        raise UserError(f"{evaluation / PREDICTIONS_FILE} holds no story; {REMEDY}")
    comparison = None
    if compared:
        full = evaluation / MEASURES_FILE
        runs = [here(metrics, measures), *(read_run(name, metrics, full) for name in compared)]
        comparison = compare(runs, measures.headline)

    shown = choose(records, max_stories, measures.headline)
    featured = telling(shown, measures.headline)
    sizes = {split: part.stories for split, part in measures.splits.items()}

    def page(pictures: dict[Place, Picture]) -> bytes:
        cards = make_cards(shown, pictures, sizes)
        return render(Report(measures, cards, featured, len(records), comparison)).encode("utf-8")

    uses = picture_uses(shown, [shown[i] for _, i in featured])
    bare = len(page(dict.fromkeys(uses, UNSEEN)))
    html = page(fit_pictures(raw, uses, max_bytes - bare))
    write_bytes(out / PAGE_FILE, html)
    return len(html)
