"""What the model does well and badly, in sentences that follow from the numbers by fixed rules.

A row counts as better than another only where their 95 % intervals do not touch. That is stricter
than a paired test, and right for a page that is read in a minute.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.evaluation.figures import Measure
from pipeline.evaluation.references import (
    COPY_BEFORE_LAST,
    COPY_LAST,
    GROUND_TRUTH,
    MODEL,
    NEAREST_TRAIN,
    NO_PREFIX,
    SAME_STORY,
    SHUFFLED,
    row_name,
)
from pipeline.evaluation.results import SplitMeasures
from pipeline.report.wording import interval, number

RIVALS = (SHUFFLED, NO_PREFIX, COPY_LAST, COPY_BEFORE_LAST, SAME_STORY, NEAREST_TRAIN)
"""Rows that an honest model should beat."""
READS_CONTEXT = 0.05
"""Nats a token that must be lost without them before we say that embeddings are read."""
NEAR = 0.2
"""Share by which a figure may differ from the true captions' and still count as like them."""
ENOUGH = 0.95
"""Share of captions that must end by themselves, or be unlike the others."""


@dataclass(frozen=True)
class Finding:
    """One sentence, for the list of what is good or of what is not."""

    good: bool
    sentence: str


def findings(split: SplitMeasures) -> list[Finding]:
    """What can be said of a split; a rule whose numbers are missing says nothing."""
    rules = (_rivals, _ceiling, _judge, _context, _pictures, _retrieval, _text)
    return [finding for rule in rules for finding in rule(split)]


def _rivals(split: SplitMeasures) -> Iterator[Finding]:
    cosines = split.metric("clip_cosine")
    model = cosines.get(MODEL)
    if model is None:
        return
    beaten: list[str] = []
    level: list[str] = []
    ahead: list[str] = []
    for row in RIVALS:
        if row in cosines:
            sign = _compare(model, cosines[row])
            (beaten if sign > 0 else ahead if sign < 0 else level).append(row_name(row))
    if beaten:
        yield Finding(True, f"Its captions fit the picture better than {_listed(beaten)}.")
    if ahead:
        yield Finding(False, f"Its captions fit the picture less well than {_listed(ahead)}.")
    if level:
        yield Finding(False, f"It cannot be told from {_listed(level)} by the fit to the picture.")


def _ceiling(split: SplitMeasures) -> Iterator[Finding]:
    lift = split.figures.get("lift")
    if lift is None:
        return
    if lift.value > 1.0:
        yield Finding(
            False,
            "It scores above the true captions. No honest caption should: it has probably learnt "
            "to please this CLIP.",
        )
    elif _high(lift) < 1.0:
        short = number(1.0 - lift.value, "share")
        yield Finding(False, f"The true captions fit better: {short} of the way is still to go.")
    else:
        yield Finding(True, "Its captions fit the picture as well as the true ones.")


def _judge(split: SplitMeasures) -> Iterator[Finding]:
    lift, judged = split.figures.get("lift"), split.figures.get("judge_lift")
    if lift is None or judged is None:
        return
    shown = number(judged.value, "share")
    if _compare(judged, lift) < 0:
        yield Finding(False, f"A second CLIP, the judge, is less impressed: lift {shown}.")
    else:
        yield Finding(True, f"A second CLIP, never trained against, agrees with a lift of {shown}.")


def _context(split: SplitMeasures) -> Iterator[Finding]:
    gap = _surprise_more(split, "nll_other_prefix")
    if gap is None:
        return
    seen = "with what CLIP saw of another one, the true caption surprises it"
    if gap >= READS_CONTEXT:
        yield Finding(True, f"It reads the story: {seen} by {gap:.2f} nats a token more.")
    else:
        yield Finding(False, f"It hardly looks at the story: {seen} no more.")


def _pictures(split: SplitMeasures) -> Iterator[Finding]:
    gap = _surprise_more(split, "nll_texts_only")
    if gap is None:
        return
    seen, more = "without them the true caption surprises it by", "nats a token more."
    if gap >= READS_CONTEXT:
        yield Finding(True, f"It uses the pictures: {seen} {gap:.2f} {more}")
    else:
        little = "The pictures tell it little that the captions do not"
        yield Finding(False, f"{little}: {seen} only {max(gap, 0.0):.2f} {more}")


def _surprise_more(split: SplitMeasures, condition: str) -> float | None:
    """Nats a token that the true caption costs more under a condition than as it is."""
    own, other = split.figures.get("nll"), split.figures.get(condition)
    return None if own is None or other is None else other.value - own.value


def _retrieval(split: SplitMeasures) -> Iterator[Finding]:
    for metric, sentence in (
        (
            "r1",
            f"Among the pictures of all {split.stories} stories, its caption finds its own first",
        ),
        ("r1_same_story", "Among the frames of the same story, its caption picks the right one"),
    ):
        found = split.metric(metric)
        if {MODEL, GROUND_TRUTH} <= found.keys():
            own, true = found[MODEL].value, found[GROUND_TRUTH].value
            yield Finding(
                own >= (1 - NEAR) * true and true > 0,
                f"{sentence} in {number(own, 'share')} of cases; the true caption does in "
                f"{number(true, 'share')}.",
            )


def _text(split: SplitMeasures) -> Iterator[Finding]:
    model, truth = split.rows.get(MODEL, {}), split.rows.get(GROUND_TRUTH, {})
    if "words" in model and "words" in truth:
        own, true = model["words"].value, truth["words"].value
        against = f"{number(own, 'count')} words against {number(true, 'count')}"
        if abs(own - true) <= NEAR * true:
            yield Finding(True, f"Its captions are about as long as the true ones: {against}.")
        else:
            length = "shorter" if own < true else "longer"
            yield Finding(False, f"Its captions are {length} than the true ones: {against}.")
    if "finished" in model and model["finished"].value < ENOUGH:
        shown = number(model["finished"].value, "share")
        yield Finding(False, f"Only {shown} of its captions come to an end by themselves.")
    if "distinct" in model and model["distinct"].value < ENOUGH:
        shown = number(model["distinct"].value, "share")
        yield Finding(False, f"It repeats itself: only {shown} of its captions are unlike others.")
    if "distinct_2" in model and "distinct_2" in truth:
        own, true = model["distinct_2"].value, truth["distinct_2"].value
        if own < (1 - NEAR) * true:
            yield Finding(
                False,
                f"Its wording is less varied: {number(own, 'share')} of its word pairs are new, "
                f"of the true captions’ {number(true, 'share')}.",
            )


def headline_sentence(split: SplitMeasures) -> str | None:
    """The lift in plain words, with its interval where there is one; None without a lift."""
    lift = split.figures.get("lift")
    if lift is None:
        return None
    between = interval(lift, "share")
    certain = f" (95 % interval {between})" if between else ""
    return (
        f"On {split.stories} stories it had never seen, its captions come "
        f"{number(lift.value, 'share')}{certain} of the way from another story’s caption "
        "to the true one."
    )


def _compare(one: Measure, other: Measure) -> int:
    """1 where `one` is clearly the greater, -1 where clearly the smaller, 0 where it is open."""
    if _low(one) > _high(other):
        return 1
    return -1 if _high(one) < _low(other) else 0


def _low(measure: Measure) -> float:
    return measure.value if measure.low is None else measure.low


def _high(measure: Measure) -> float:
    return measure.value if measure.high is None else measure.high


def _listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
