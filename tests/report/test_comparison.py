"""Other experiments beside this run."""

import pytest

from pipeline.report.comparison import HERE, Run, compare


def test_differences_are_from_the_first_and_judged_by_the_metric() -> None:
    runs = [
        Run(HERE, {"test": {"clip_cosine": 0.5, "nll": 1.0, "words": 30.0, "new": 1.0}}, None),
        Run("b", {"test": {"clip_cosine": 0.4, "nll": 0.8, "words": 20.0}}, None),
    ]
    table = dict(compare(runs, "test").table)
    assert [cell.value for cell in table["clip_cosine"]] == [0.5, 0.4]
    assert table["clip_cosine"][1].difference == pytest.approx(-0.1)
    assert table["clip_cosine"][1].better is False
    assert table["nll"][1].better is True, "lower is better"
    assert table["words"][1].better is None
    assert table["new"][1].value is None
    charts = {chart.metric: chart for chart in compare(runs, "test").charts}
    assert list(charts) == ["clip_cosine", "nll"]
    assert [bar.name for bar in charts["nll"].bars] == [HERE, "b"]
