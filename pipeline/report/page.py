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

from pipeline.evaluation.figures import Measure
from pipeline.evaluation.metrics import describe
from pipeline.evaluation.references import GROUND_TRUTH, ROWS, row_name
from pipeline.evaluation.results import Measures, SplitMeasures
from pipeline.report.chart import CHARTED, Chart, row_chart
from pipeline.report.comparison import Comparison
from pipeline.report.findings import Finding, findings, headline_sentence
from pipeline.report.gallery import Card
from pipeline.report.wording import difference, interval, number

FOLDER = Path(__file__).parent
TEMPLATE, STYLE, SCRIPT = "page.html.j2", "page.css", "page.js"
OF_SHARED_WORDS = ("rouge_l", "cider_d")
HEADLINES = ("lift", "clip_cosine", "judge_cosine", "nll")


@dataclass(frozen=True)
class Report:
    """All that the page says: what it is given, and what the template asks of that."""

    all_measures: Measures
    cards: list[Card]
    featured: list[tuple[str, int]]
    """Title, and which card: the best, the middle, the worst."""
    predictions: int
    """Stories in predictions.jsonl; the gallery may hold fewer."""
    comparison: Comparison | None

    @property
    def split(self) -> str:
        """The split that the page opens with."""
        return self.all_measures.headline

    @property
    def measures(self) -> SplitMeasures:
        """Of that split."""
        return self.all_measures.splits[self.split]

    @property
    def parts(self) -> list[tuple[str, SplitMeasures]]:
        """All splits, that one first."""
        return sorted(self.all_measures.splits.items(), key=lambda item: item[0] != self.split)

    @property
    def sentence(self) -> str | None:
        """How good the model is, in one."""
        return headline_sentence(self.measures)

    @property
    def headlines(self) -> list[tuple[str, Measure]]:
        """Metric and number, large at the top."""
        measured = ((name, self.measures.measure(name)) for name in HEADLINES)
        return [(name, measure) for name, measure in measured if measure is not None]

    @property
    def findings(self) -> list[Finding]:
        """What it does well, and what badly."""
        return findings(self.measures)

    @property
    def charts(self) -> list[Chart]:
        """A chart for each metric that at least two rows have.

        The true captions share every word with themselves, and stand in no chart of shared words.
        """
        measured = {metric: self.measures.metric(metric) for metric in CHARTED}
        for metric in OF_SHARED_WORDS:
            measured[metric].pop(GROUND_TRUTH, None)
        return [row_chart(metric, rows) for metric, rows in measured.items() if len(rows) > 1]

    @property
    def splits(self) -> list[str]:
        """Those of the cards."""
        return list(dict.fromkeys(card.record["split"] for card in self.cards))

    @property
    def k(self) -> int:
        """Frames that the model read of each story."""
        return len(self.cards[0].context) if self.cards else 0

    def has(self, key: str) -> bool:
        """Whether any card's record has this, such as a `rank`."""
        return any(card.record.get(key) is not None for card in self.cards)


def render(report: Report) -> str:
    """The page as HTML; the same report gives the same text."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _own(STYLE), _own(SCRIPT)
    environment.filters |= {"number": number, "difference": difference}
    environment.globals |= {
        "describe": describe,
        "row_name": row_name,
        "row_meaning": lambda row: ROWS[row].meaning if row in ROWS else "",
        "interval": interval,
        "style": Markup(style),
        "script": Markup(script),
        "policy": _policy(style, script),
    }
    return environment.get_template(TEMPLATE).render(report=report)


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
