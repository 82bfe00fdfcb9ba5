"""The page: one HTML file that holds its style, its script and its pictures, and asks for nothing.

Every text passes Jinja2's autoescape. A content security policy allows the page's own style and
script by their hashes, and pictures only from within: what a caption may try, the browser refuses.
"""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.common.files import write_bytes
from pipeline.report import wording
from pipeline.report.chart import CHARTED, Chart, row_chart
from pipeline.report.comparison import Comparison
from pipeline.report.findings import Finding, findings, headline_sentence
from pipeline.report.gallery import Card
from pipeline.report.measures import Measures, SplitMeasures

FOLDER = Path(__file__).parent
TEMPLATE, STYLE, SCRIPT = "page.html.j2", "page.css", "page.js"
OF_SHARED_WORDS = ("rouge_l", "cider_d")
HEADLINES = ("lift", "clip_cosine", "judge_cosine", "nll")


@dataclass(frozen=True)
class Report:
    """All that the page says."""

    measures: Measures
    cards: list[Card]
    telling: list[tuple[str, int]]
    """Title, and which card: the best, the middle, the worst."""
    predictions: int
    """Stories in predictions.jsonl; the gallery may hold fewer."""
    comparison: Comparison | None


def write_page(report: Report, path: Path) -> int:
    """Render the report to `path`, in one step; the same report gives the same bytes.

    Returns:
        The number of bytes.
    """
    html = render(report).encode("utf-8")
    write_bytes(path, html)
    return len(html)


def render(report: Report) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": wording.number, "difference": wording.difference}
    environment.globals |= {
        "wording": wording.wording,
        "row_name": wording.row_name,
        "row_meaning": lambda row: wording.ROWS.get(row, ("", ""))[1],
        "interval": wording.interval,
    }
    style, script = _own(STYLE), _own(SCRIPT)
    split = report.measures.headline
    measures = report.measures.splits[split]
    found = findings(measures)
    return environment.get_template(TEMPLATE).render(
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
        report=report,
        split=split,
        measures=measures,
        sentence=headline_sentence(measures),
        headlines=[
            (name, headline)
            for name in HEADLINES
            if (headline := _headline(measures, name)) is not None
        ],
        good=_sentences(found, True),
        bad=_sentences(found, False),
        charts=_charts(measures),
        telling=[(title, report.cards[i]) for title, i in report.telling],
        parts=sorted(report.measures.splits.items(), key=lambda item: item[0] != split),
        splits=list(dict.fromkeys(card.record["split"] for card in report.cards)),
        k=len(report.cards[0].context) if report.cards else 0,
        has_judge=any(card.record.get("judge_score") is not None for card in report.cards),
        has_rank=any(card.record.get("rank") is not None for card in report.cards),
    )


def _own(name: str) -> str:
    """A file of this folder that goes into the page as it is."""
    return (FOLDER / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """What the browser may do with the page: show it, with this style and this script."""

    def allowed(text: str) -> str:
        digest = hashlib.sha256(text.encode("utf-8")).digest()
        return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"

    return (
        f"default-src 'none'; img-src data:; style-src {allowed(style)}; "
        f"script-src {allowed(script)}; base-uri 'none'; form-action 'none'"
    )


def _headline(split: SplitMeasures, name: str) -> object:
    return split.figures.get(name) or split.rows.get("model", {}).get(name)


def _sentences(found: list[Finding], good: bool) -> list[str]:
    return [finding.sentence for finding in found if finding.good == good]


def _charts(split: SplitMeasures) -> list[Chart]:
    """A chart for each metric that at least two rows have.

    The true captions share every word with themselves, so they stand in no chart of shared words.
    """
    measured = {
        metric: {
            row: measure
            for row, measure in split.metric(metric).items()
            if not (metric in OF_SHARED_WORDS and row == "ground_truth")
        }
        for metric in CHARTED
    }
    return [row_chart(metric, rows) for metric, rows in measured.items() if len(rows) > 1]
