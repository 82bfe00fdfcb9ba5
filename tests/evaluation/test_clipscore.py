"""Scores against numbers worked out by hand and against plain Python."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.clipscore import clipscore, cosine, mean_by_caption, ref_clipscore
from tests import oracle


def test_cosine_by_hand() -> None:
    a = np.array([[3.0, 4.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]], np.float32)
    b = np.array([[4.0, 3.0], [0.0, 2.0], [-1.0, -1.0], [1.0, 0.0]], np.float32)
    assert cosine(a, b) == pytest.approx([24 / 25, 0.0, -1.0, 0.0])


def test_clipscore_by_hand() -> None:
    assert clipscore(np.array([0.3, 0.0, -0.2, 1.0])) == pytest.approx([0.75, 0.0, 0.0, 2.5])


def test_ref_clipscore_by_hand() -> None:
    """Harmonic means of 2.5 times the first and the second, where both are above 0."""
    image, reference = np.array([0.4, 0.4, -0.1, 0.4, 0.0]), np.array([0.5, 1.0, 0.9, -0.2, 0.0])
    assert ref_clipscore(image, reference) == pytest.approx([2 / 3, 1.0, 0.0, 0.0, 0.0])


def test_mean_over_sentences_by_hand() -> None:
    cosines, counts = np.array([0.2, 0.4, 0.9]), np.array([2, 0, 1])
    assert mean_by_caption(cosines, counts) == pytest.approx([0.3, 0.0, 0.9])


def test_a_good_caption_beats_a_bad_one() -> None:
    """In a plane: the good caption is near both image and reference, the bad one near neither."""
    image, reference = np.array([[1.0, 0.0]]), np.array([[0.9, 0.4]])
    good, bad = np.array([[0.9, 0.3]]), np.array([[0.1, 1.0]])
    for score in (
        lambda caption: cosine(caption, image),
        lambda caption: clipscore(cosine(caption, image)),
        lambda caption: ref_clipscore(cosine(caption, image), cosine(caption, reference)),
        lambda caption: mean_by_caption(cosine(caption, image), np.array([1])),
    ):
        assert score(good) > score(bad)


numbers = st.floats(-10, 10).map(lambda x: round(x, 3))


@given(st.lists(st.tuples(*[numbers] * 6), min_size=1, max_size=8))
def test_cosine_equals_plain_python(rows: list[tuple[float, ...]]) -> None:
    a, b = np.array([r[:3] for r in rows]), np.array([r[3:] for r in rows])

    expected = [oracle.cosine(u, v) for u, v in zip(a, b, strict=True)]
    assert cosine(a, b) == pytest.approx(expected, abs=1e-9)


def test_unequal_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(3, 3\)"):
        cosine(np.zeros((2, 3)), np.zeros((3, 3)))


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=8))
def test_ref_clipscore_equals_plain_python(pairs: list[tuple[float, float]]) -> None:
    def plain(image: float, reference: float) -> float:
        a, b = 2.5 * max(image, 0), max(reference, 0)
        return 2 / (1 / a + 1 / b) if a > 1e-9 and b > 1e-9 else 0.0

    image, reference = (np.array(column) for column in zip(*pairs, strict=True))
    expected = [plain(*pair) for pair in pairs]
    assert ref_clipscore(image, reference) == pytest.approx(expected, abs=1e-8)
