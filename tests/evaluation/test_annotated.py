"""What is counted of a caption by the annotations of its frame and context, by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.annotated import COUNTS, AnnotationScorer, Held
from pipeline.evaluation.bootstrap import point
from pipeline.evaluation.lexicon import Lexicon
from pipeline.evaluation.metrics import row_figures
from pipeline.prepare.annotations import annotations
from pipeline.stories.annotations import ANNOTATIONS_SCHEMA, Annotation
from tests.evaluation.conftest import Sample

TABLES = """## Image 1
| Character ID | Name |
| char1 | Ann |
| char2 | Bo |

| Object ID | Description |
| obj1 | an oil lamp |
| obj2 | a wooden chest |
"""


def noted(story: str, thoughts: str | None = None) -> Annotation:
    (frame,) = annotations("s", ["told"], f"<gdi image1>{story}</gdi>", thoughts)
    return frame


TARGET = noted(
    "<gdo char1>Ann</gdo> lifts <gdo obj1>the lamp</gdo> in <gdl bg1>the dark cellar</gdl>, and "
    "<gdo char2>he</gdo> waits.",
    TABLES,
)
CONTEXT = [
    noted("<gdo char3>Cy</gdo> brings <gdo obj4>a ladder</gdo> from <gdl bg2>the yard</gdl>.")
]
ELSEWHERE = [
    noted("<gdo char1>Dora</gdo> rows <gdo obj1>a boat</gdo> on <gdl bg1>the river</gdl>."),
    noted("<gdo char1>Ann</gdo> holds <gdo obj1>a lamp</gdo>."),
]
SCORER = AnnotationScorer(Lexicon.learn(lambda: ELSEWHERE), {}, ANNOTATIONS_SCHEMA.empty_table())


@pytest.mark.parametrize(
    ("caption", "counts"),
    [
        pytest.param(
            "Ann lifts the lamp in the dark cellar, and he waits.",
            {"mentions": 3, "mentions_right": 3, "names": 1, "names_right": 1,
             "entities_found": 3, "things_found": 1, "places_found": 1, "cast_found": 1},
            id="the true caption",
        ),
        pytest.param(
            "In a cellar two old lamps burn.",
            {"mentions": 2, "mentions_right": 2, "entities_found": 2, "things_found": 1,
             "places_found": 1},
            id="the same in other words",
        ),
        pytest.param(
            "Bo opens the wooden chest.",
            {"mentions": 2, "mentions_right": 2, "names": 1, "names_right": 1},
            id="what only the tables name is right, and nobody asked for it",
        ),
        pytest.param(
            "Cy fetches a ladder.",
            {"mentions": 2, "names": 1},
            id="of the context: wrong, and no hallucination",
        ),
        pytest.param(
            "Dora and Ann are on the river in a boat.",
            {"mentions": 4, "mentions_right": 1, "mentions_nowhere": 3, "entities_found": 1,
             "names": 2, "names_right": 1, "names_nowhere": 1, "cast_found": 1},
            id="of other stories: hallucinations, and an invented name",
        ),
        pytest.param("He waits for a zeppelin.", {}, id="nothing that anybody has tagged"),
        pytest.param("", {}, id="no words"),
    ],
)  # fmt: skip
def test_counts_by_hand(caption: str, counts: dict[str, int]) -> None:
    """Three entities are told: Ann, who is named, the lamp and the cellar; Bo is only `he`."""
    found = SCORER.count(caption, Held.of(TARGET, CONTEXT))
    told = {"entities": 3, "things": 1, "places": 1, "cast": 1}
    assert found == dict.fromkeys(COUNTS, 0) | told | counts


def test_an_entity_is_found_by_any_mention_of_it() -> None:
    """Tags and tables of a frame share their ids: `the doctor` is Ann."""
    target = noted("<gdo char1>The doctor</gdo> and <gdo char1>she</gdo>.", TABLES)
    found = SCORER.count("Ann nods.", Held.of(target, []))
    assert (found["entities"], found["entities_found"], found["mentions_right"]) == (1, 1, 1)


def test_a_frame_of_which_nothing_is_said_is_left_out() -> None:
    """Its tables broken, its tags lost: whatever a caption mentions there is not wrong."""
    silent = noted("Ann lifts the lamp.", "## Image 1\n| char1 | Ann")
    assert SCORER.count("Ann is on the river.", Held.of(silent, CONTEXT)) == dict.fromkeys(
        COUNTS, 0
    )


def figures(scorer: AnnotationScorer, captions: list[str], held: list[Held]) -> dict[str, Any]:
    counts = [scorer.count(*each) for each in zip(captions, held, strict=True)]
    columns = {name: np.array([of[name] for of in counts]) for name in COUNTS}
    return {name: point(of, len(held)) for name, of in row_figures(columns).items()}


def test_true_captions_are_right_and_those_of_other_stories_wrong(sample: Sample) -> None:
    """On the sample, whose captions the lexicon has not seen."""
    scorer = AnnotationScorer(
        Lexicon.learn(lambda: sample.train), {}, ANNOTATIONS_SCHEMA.empty_table()
    )
    frames = [frame for frame in sample.held_out if frame["frame_index"] == 4]
    context = [frame for frame in sample.held_out if frame["frame_index"] < 4]
    held = [Held.of(target, context[4 * i : 4 * i + 4]) for i, target in enumerate(frames)]
    captions = [frame["caption"] for frame in frames]
    true = figures(scorer, captions, held)
    assert min(true["entity_precision"], true["entity_recall"], true["entity_f1"]) > 0.97
    assert min(true["name_precision"], true["name_recall"]) == 1.0
    assert true["hallucination_rate"] < 0.03 and true["invented_names"] == 0.0
    other = figures(scorer, captions[1:] + captions[:1], held)
    assert max(other["entity_precision"], other["entity_recall"], other["entity_f1"]) < 0.2
    assert other["hallucination_rate"] > 0.6 and other["invented_names"] > 0.6
    last = figures(scorer, [frame["caption"] for frame in context[3::4]], held)
    assert other["entity_f1"] < last["entity_f1"] < true["entity_f1"]
    assert last["hallucination_rate"] < 0.03, "a copy tells of the context"


@given(st.text(), st.text(), st.text())
def test_counts_of_any_texts_are_shares(caption: str, story: str, thoughts: str) -> None:
    target = noted(f"<gdo char1>Ann</gdo> {story}", thoughts)
    found = SCORER.count(caption, Held.of(target, [noted(story)]))
    assert found["mentions_right"] + found["mentions_nowhere"] <= found["mentions"]
    assert found["names_right"] + found["names_nowhere"] <= found["names"] <= found["mentions"]
    assert found["cast_found"] <= found["cast"] <= found["entities"]
    assert found["entities_found"] <= found["entities"]
    assert found["things"] + found["places"] <= found["entities"]
