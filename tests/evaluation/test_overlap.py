"""Word overlap by hand, and against implementations that share nothing with ours."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu import corpus_bleu

from pipeline.captioning.ngrams import ngrams
from pipeline.evaluation.bootstrap import point
from pipeline.evaluation.figures import bleu_from_sums, bleu_of
from pipeline.evaluation.overlap import bleu_counts, cider_d, rouge_l, tokenize

TRUE = [
    "Mara opens the red door and looks into the dark hall behind it.",
    "In the kitchen Tom pours the tea and does not look at the letter.",
    "They walk along the river at night, with a lantern and a red box.",
]
GOOD = [
    "Mara opens the red door and walks into the dark hall.",
    "In the kitchen Tom pours a cup of tea and looks at the letter.",
    "They walk along the river with a lantern and a box.",
]
BAD = [
    "A train waits at the station.",
    "Later the children find a key under a stone and hide it again.",
    "Nobody had expected an answer so early in the year.",
]


def tokens(texts: list[str]) -> list[list[str]]:
    return [tokenize(text) for text in texts]


def bleu(captions: list[str], references: list[str]) -> float:
    found = point(bleu_of(bleu_counts(tokens(captions), tokens(references))), len(captions))
    assert found is not None
    return found


def plain_rouge(caption: list[str], reference: list[str]) -> float:
    table = np.zeros((len(caption) + 1, len(reference) + 1), int)
    for i, a in enumerate(caption):
        for j, b in enumerate(reference):
            table[i + 1, j + 1] = (
                table[i, j] + 1 if a == b else max(table[i, j + 1], table[i + 1, j])
            )
    common = table[-1, -1]
    return 2 * common / (len(caption) + len(reference)) if common else 0.0


def plain_cider(captions: list[list[str]], references: list[list[str]]) -> list[float]:
    """CIDEr-D from the paper, with its sigma of 6; a length is counted in bigrams, as coco does."""
    scores = []
    for caption, reference in zip(captions, references, strict=True):
        total = 0.0
        for n in range(1, 5):
            documents = Counter(g for r in references for g in set(ngrams(r, n)))

            def weigh(words: list[str], n: int = n, documents: Counter = documents) -> dict:
                counts = Counter(ngrams(words, n))
                logs = {g: math.log(len(references) / max(documents[g], 1)) for g in counts}
                return {g: count * logs[g] for g, count in counts.items()}

            a, b = weigh(caption), weigh(reference)
            dot = sum(min(a[g], b.get(g, 0.0)) * b.get(g, 0.0) for g in a)
            lengths = math.sqrt(sum(x * x for x in a.values()) * sum(x * x for x in b.values()))
            delta = max(len(caption) - 1, 0) - max(len(reference) - 1, 0)
            total += (dot / lengths if lengths else 0.0) * math.exp(-(delta**2) / (2 * 6**2))
        scores.append(10 * total / 4)
    return scores


def test_tokens_by_hand() -> None:
    assert tokenize("Mara's lamp, 2.5 m high,\nwas lit.") == (
        ["mara's", "lamp", ",", "2.5", "m", "high", ",", "was", "lit", "."]
    )
    assert tokenize("") == []
    assert ngrams(["a", "b", "c"], 2) == [("a", "b"), ("b", "c")]
    assert ngrams(["a"], 2) == []


def test_good_captions_beat_bad_ones_and_the_truth_beats_all() -> None:
    true, good, bad = tokens(TRUE), tokens(GOOD), tokens(BAD)
    assert bleu(TRUE, TRUE) == pytest.approx(100.0)
    assert 100 > bleu(GOOD, TRUE) > bleu(BAD, TRUE)
    for measure, best in ((rouge_l, 1.0), (cider_d, 10.0)):
        assert measure(true, true) == pytest.approx(best)
        assert (measure(good, true) < best).all()
        assert (measure(good, true) > measure(bad, true)).all()


def test_bleu_by_hand() -> None:
    """Matches of order 1 to 4: 5/6, 4/5, 3/4, 2/3; and the caption is a word shorter."""
    expected = 100 * (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25 * math.exp(1 - 7 / 6)
    assert bleu(["a b c d e x"], ["a b c d e f g"]) == pytest.approx(expected)


def test_rouge_l_by_hand() -> None:
    """The longest common subsequence of these is `the cat home`: 3 of 4 and 3 of 6 tokens."""
    found = rouge_l([["the", "black", "cat", "home"]], [["the", "cat", "is", "now", "at", "home"]])
    assert found == pytest.approx([2 * 3 / (4 + 6)])


def test_cider_d_by_hand() -> None:
    """Two references without a common word: ln 2 weighs every n-gram, so that it cancels."""
    found = cider_d([["a", "b", "c", "d"], ["w"]], [["a", "b", "x", "d"], ["p", "q", "r", "s"]])
    # 3 of 4 words, 1 of 3 pairs, and no longer run agree; lengths are equal.
    assert found == pytest.approx([10 * (3 / 4 + 1 / 3) / 4, 0.0])


WORDS = st.lists(st.sampled_from("a b c d e".split()), max_size=12).map(" ".join)
REFERENCES = st.lists(st.sampled_from("a b c d e".split()), min_size=1, max_size=12).map(" ".join)
PAIRS = st.lists(st.tuples(WORDS, REFERENCES), min_size=2, max_size=6)


@given(PAIRS)
def test_equal_to_independent_implementations(pairs: list[tuple[str, str]]) -> None:
    captions, references = [a for a, _ in pairs], [b for _, b in pairs]
    theirs = corpus_bleu(captions, [references], lowercase=True).score
    assert bleu(captions, references) == pytest.approx(theirs, abs=1e-6)
    a, b = tokens(captions), tokens(references)
    assert rouge_l(a, b) == pytest.approx(list(map(plain_rouge, a, b)))
    assert cider_d(a, b) == pytest.approx(plain_cider(a, b), abs=1e-9)


def test_bleu_of_a_draw_is_that_of_the_drawn_captions() -> None:
    """What the bootstrap relies on: counts add up."""
    counts = bleu_counts(tokens(GOOD), tokens(TRUE))
    weights = np.array([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]])
    for row, drawn in zip(bleu_of(counts)(weights), ([0, 0, 2], [1, 1, 1]), strict=True):
        theirs = corpus_bleu(
            [GOOD[i] for i in drawn], [[TRUE[i] for i in drawn]], lowercase=True
        ).score
        assert row == pytest.approx(theirs)


def test_an_empty_caption_gets_nothing() -> None:
    assert bleu_from_sums(bleu_counts([[]], [["a", "b"]]).astype(float)) == [0.0]
    assert rouge_l([[]], [["a", "b"]]) == [0.0]
    assert cider_d([[], ["c"]], [["a", "b"], ["c"]])[0] == 0.0
