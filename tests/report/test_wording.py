"""Numbers as people read them."""

import pytest

from pipeline.evaluation.figures import Measure
from pipeline.report.wording import difference, interval, number

NARROW = "\N{NARROW NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("value", "style", "text"),
    [
        (0.50449, "number", "0.504"),
        (-0.0194, "number", f"{MINUS}0.019"),
        (-0.0001, "number", "0.000"),
        (0.626, "share", f"63{NARROW}%"),
        (-0.001, "share", f"0{NARROW}%"),
        (12.0, "count", "12"),
        (4.5, "count", "4.5"),
        (75.78, "count", "75.8"),
        (100.0, "count", "100"),
    ],
)
def test_a_number_is_written_in_its_style(value: float, style: str, text: str) -> None:
    assert number(value, style) == text


def test_a_difference_has_a_sign_and_shares_differ_by_points() -> None:
    assert difference(0.02) == "+0.020"
    assert difference(-0.02) == f"{MINUS}0.020"
    assert difference(0.00001) == "0.000"
    assert difference(0.05, "share") == f"+5{NARROW}points"
    assert difference(0.001, "share") == f"0{NARROW}points"


def test_an_interval_has_both_ends_or_is_not_written() -> None:
    assert interval(Measure(0.5, 0.48, 0.53)) == "0.480–0.530"
    assert interval(Measure(0.0, -0.02, 0.03)) == f"{MINUS}0.020 to 0.030"
    assert interval(Measure(0.63, 0.58, 0.68), "share") == f"58–68{NARROW}%"
    assert interval(Measure(0.5)) is None
