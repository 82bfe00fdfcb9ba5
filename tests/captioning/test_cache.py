"""The caption cache: nothing is written twice, whatever stops the run or changes its size."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.captioning.cache import CaptionCache, sample_once, write_missing
from pipeline.captioning.sampler import Sampler
from pipeline.captioning.samples import Samples
from pipeline.common.parts import Part
from pipeline.dataset.story_dataset import Contexts
from pipeline.model.generator import StoryGenerator
from pipeline.model.prompt import PromptBuilder
from tests.captioning.conftest import settings as generate_settings
from tests.damage import damaged
from tests.world import load_clip


@pytest.fixture
def sampler(generator: StoryGenerator, prompts: PromptBuilder, tiny_clip: Path) -> Sampler:
    return Sampler(
        generator, prompts, load_clip(tiny_clip), generate_settings(batch_size=2, temperature=2.0)
    )


class Counting(Sampler):
    """Counts the captions that it writes, and fails after so many calls."""

    calls_left = 10**6
    written = 0

    def sample(self, contexts: Contexts, *arguments: Any, **options: Any) -> Samples:
        type(self).calls_left -= 1
        if type(self).calls_left < 0:
            raise KeyboardInterrupt
        type(self).written += len(contexts)
        return super().sample(contexts, *arguments, **options)


def counting(sampler: Sampler, calls: int = 10**6) -> type[Counting]:
    return type("Once", (Counting,), {"calls_left": calls, "written": 0})


def same(a: Samples, b: Samples) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in vars(a))


def test_a_stopped_run_goes_on_and_ends_the_same(
    sampler: Sampler, contexts: Contexts, tmp_path: Path
) -> None:
    whole = sample_once(sampler, contexts, 3, 0, CaptionCache(tmp_path / "whole"))
    assert len(whole) == 3 * len(contexts)
    assert whole.story.tolist() == [s for s in contexts.story for _ in range(3)]
    assert len({*whole.text.tolist()}) > len(contexts), "the samples of a story differ"

    stops = counting(sampler, calls=2)
    with pytest.raises(KeyboardInterrupt):
        sample_once(stops(**vars(sampler)), contexts, 3, 0, CaptionCache(tmp_path / "stopped"))
    goes_on = counting(sampler)
    resumed = sample_once(
        goes_on(**vars(sampler)), contexts, 3, 0, CaptionCache(tmp_path / "stopped")
    )
    assert same(resumed, whole)
    assert stops.written > 0
    assert stops.written + goes_on.written == len(whole), "no caption was written twice"


def test_more_samples_or_stories_write_what_is_new_alone(
    sampler: Sampler, contexts: Contexts, tmp_path: Path
) -> None:
    few = sample_once(sampler, contexts.take([1, 3]), 2, 0, CaptionCache(tmp_path))
    for stories, per_story, new in ([1, 3], 2, 0), ([1, 3], 3, 2), ([0, 1, 3], 3, 3):
        counted = counting(sampler)
        samples = sample_once(
            counted(**vars(sampler)), contexts.take(stories), per_story, 0, CaptionCache(tmp_path)
        )
        assert counted.written == new
        kept = [stories.index(1) * per_story, stories.index(1) * per_story + 1]
        assert samples.take(kept).text.tolist() == few.text[:2].tolist()


def test_parts_write_what_one_run_writes(
    sampler: Sampler, contexts: Contexts, tmp_path: Path
) -> None:
    """Of two divisions and one of them twice; the rest is written by whoever wants all."""
    whole = sample_once(sampler, contexts, 3, 0, CaptionCache(tmp_path / "whole"))
    written = 0
    for part in ("3/3", "1/2", "3/3"):
        cache = CaptionCache(tmp_path / "parts")
        keys, here = write_missing(sampler, contexts, 3, 0, cache, Part(part))
        written += here
        assert keys == [key.tobytes() for key in whole.key]
        assert CaptionCache(tmp_path / "parts").contains(keys).sum() == written
    rest = counting(sampler)
    joined = sample_once(rest(**vars(sampler)), contexts, 3, 0, CaptionCache(tmp_path / "parts"))
    assert same(joined, whole)
    assert 0 < rest.written == len(whole) - written
    names = [{path.name for path in (tmp_path / of).iterdir()} for of in ("whole", "parts")]
    assert names[0] == names[1], "whole chunks at the same places"


def test_another_seed_writes_others(sampler: Sampler, contexts: Contexts, tmp_path: Path) -> None:
    first, second = (
        sample_once(sampler, contexts, 2, seed, CaptionCache(tmp_path)) for seed in (0, 1)
    )
    assert first.text.tolist() != second.text.tolist()


@settings(max_examples=8)
@given(data=st.data())
def test_a_damaged_file_is_told_and_written_again(
    sampler: Sampler,
    contexts: Contexts,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    data: st.DataObject,
) -> None:
    whole = sample_once(sampler, contexts, 2, 0, CaptionCache(tmp_path))
    path = min(tmp_path.glob("*.h5"))
    content = path.read_bytes()
    path.write_bytes(data.draw(damaged(content)))
    changed = path.read_bytes() != content
    again = sample_once(sampler, contexts, 2, 0, CaptionCache(tmp_path))
    assert same(again, whole)
    assert (f"warning: ignoring {path}" in capsys.readouterr().err) == changed
    assert path.read_bytes() == content


def test_the_fingerprint_knows_the_generator_and_the_settings(sampler: Sampler) -> None:
    before = sampler.fingerprint()
    hotter = sampler.params.model_copy(update={"temperature": 1.5})
    larger_batches = sampler.params.model_copy(update={"batch_size": 7, "strategy": "nucleus"})
    own = vars(sampler)
    assert Sampler(**own | {"params": larger_batches}).fingerprint() == before
    assert Sampler(**own | {"params": hotter}).fingerprint() != before
    sampler.generator.image_head.layers[0].bias.data[0] += 1
    assert sampler.fingerprint() != before
    sampler.generator.image_head.layers[0].bias.data[0] -= 1
