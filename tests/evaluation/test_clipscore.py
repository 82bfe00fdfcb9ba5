"""Scores against numbers worked out by hand and against plain Python."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.evaluation.clipscore import clipscore, cosine, lift


def test_cosine_by_hand() -> None:
    a = np.array([[3.0, 4.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]], np.float32)
    b = np.array([[4.0, 3.0], [0.0, 2.0], [-1.0, -1.0], [1.0, 0.0]], np.float32)
    assert cosine(a, b) == pytest.approx([24 / 25, 0.0, -1.0, 0.0])


def test_clipscore_by_hand() -> None:
    assert clipscore(np.array([0.3, 0.0, -0.2, 1.0])) == pytest.approx([0.75, 0.0, 0.0, 2.5])


def test_lift_by_hand() -> None:
    assert lift(0.7, shuffled=0.1, ground_truth=0.9) == pytest.approx(0.75)
    assert lift(0.1, shuffled=0.1, ground_truth=0.9) == 0.0
    assert lift(0.9, shuffled=0.1, ground_truth=0.9) == 1.0
    assert lift(0.0, shuffled=0.1, ground_truth=0.9) == pytest.approx(-0.125)


def test_no_lift_where_the_references_cannot_tell_right_from_wrong() -> None:
    assert lift(0.5, shuffled=0.3, ground_truth=0.3) is None
    assert lift(0.5, shuffled=0.4, ground_truth=0.3) is None


numbers = st.floats(-10, 10).map(lambda x: round(x, 3))


@given(st.lists(st.tuples(*[numbers] * 6), min_size=1, max_size=8))
def test_cosine_equals_plain_python(rows: list[tuple[float, ...]]) -> None:
    a, b = np.array([r[:3] for r in rows]), np.array([r[3:] for r in rows])

    def plain(u: NDArray[np.float64], v: NDArray[np.float64]) -> float:
        lengths = math.hypot(*u) * math.hypot(*v)
        return sum(x * y for x, y in zip(u, v, strict=True)) / lengths if lengths else 0.0

    expected = [plain(u, v) for u, v in zip(a, b, strict=True)]
    assert cosine(a, b) == pytest.approx(expected, abs=1e-9)


def test_unequal_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(3, 3\)"):
        cosine(np.zeros((2, 3)), np.zeros((3, 3)))
