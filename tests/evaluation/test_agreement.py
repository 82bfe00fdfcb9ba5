"""Setting and action, read from a caption's words by what training captions and tables say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.agreement import COMMON, FieldReader, fit_readers, values_of
from pipeline.stories.annotations import Annotation
from tests.evaluation.conftest import Sample


def frame(caption: str, actions: list[str], **setting: str) -> Annotation:
    return {"caption": caption, "actions": actions, "setting": list(setting.items())}


def test_values_are_the_content_words_and_of_actions_the_verb() -> None:
    found = frame(
        "", ["Walks down the streets", "-", "Stands"], location="The Old Streets", time="Day"
    )
    assert values_of(found, "place") == ["old street"]
    assert values_of(found, "time") == ["day"]
    assert values_of(found, "weather") == []
    assert values_of(found, "action") == ["walk", "stand"]


def test_other_words_for_a_value_are_learnt() -> None:
    frames = [
        *(frame(f"At noon Ann met {n}.", ["waits"], time="Noon") for n in range(COMMON)),
        *(frame(f"At midday Ann met {n}.", ["waits"], time="Noon") for n in range(COMMON)),
        *(frame(f"After dark Ann met {n}.", ["waits"], time="Night") for n in range(COMMON)),
        *(frame(f"At dusk Ann met {n}.", ["waits"], time="Dusk") for n in range(COMMON - 1)),
    ]
    readers = fit_readers(frames)
    assert set(readers) == {"time"}, (
        "of one action there is nothing to tell, of places nothing known"
    )
    assert readers["time"].values == {"noon", "night"}, "dusk is too rare"
    told = ["It was midday when Bo came.", "It was dark when Bo came.", "It was noon."]
    assert readers["time"].read(told) == ["noon", "night", "noon"]


def test_the_sample_s_true_captions_are_read_right(sample: Sample) -> None:
    readers = fit_readers(sample.train)
    assert set(readers) == {"place", "time", "weather", "action"}
    for field, reader in readers.items():
        read = reader.read([frame["caption"] for frame in sample.held_out])
        pairs = zip(read, sample.held_out, strict=True)
        right = [value in values_of(frame, field) for value, frame in pairs]
        assert sum(right) / len(right) > 0.9, field


@given(st.lists(st.tuples(st.text(), st.sampled_from(["", "noon", "night", "dusk"]))), st.text())
def test_no_captions_raise(pairs: list[tuple[str, str]], caption: str) -> None:
    told = [*pairs, ("a lamp", "noon")] * COMMON
    reader = FieldReader.fit([text for text, _ in told], [value for _, value in told])
    if reader is None:
        assert {value for _, value in told} == {"noon"}
    else:
        assert reader.read([caption, ""])[0] in reader.values


@pytest.mark.parametrize(
    "pairs", [[], [("a", "noon")] * COMMON, [("...", "noon"), ("!", "night")] * COMMON]
)
def test_without_two_common_values_or_without_words_there_is_no_reader(
    pairs: list[tuple[str, str]],
) -> None:
    assert FieldReader.fit([text for text, _ in pairs], [value for _, value in pairs]) is None
