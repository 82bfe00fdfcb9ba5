"""The captions of every row for a pool of stories: written by the decoder, or taken from frames."""

from collections.abc import Callable

from pipeline.captioning.generate import Caption, generate_captions, story_seed
from pipeline.evaluation.references import GENERATED, MODEL, NEAREST_TRAIN, ROWS
from pipeline.evaluation.stories import SplitStories
from pipeline.model.generator import StoryGenerator
from pipeline.model.prompt import PromptBuilder
from pipeline.params import GenerateParams


def write_captions(
    stories: SplitStories,
    generator: StoryGenerator,
    prompts: PromptBuilder,
    params: GenerateParams,
    seed: int,
    progress: Callable[[int], object],
) -> dict[str, list[Caption]]:
    """What the decoder writes for each story, with the prefix and without it."""
    contexts = stories.windows.contexts()
    return {
        row: generate_captions(
            generator,
            prompts,
            contexts,
            params,
            [story_seed(seed, story) for story in contexts.story],
            use_prefix=row == MODEL,
            progress=progress,
        )
        for row in GENERATED
    }


def all_rows(
    stories: SplitStories, written: dict[str, list[Caption]], nearest: list[str] | None
) -> dict[str, list[str]]:
    """Row -> captions of the stories, in the order of `ROWS`.

    Args:
        nearest: the nearest training caption for every story of the split; None leaves it out.
    """
    captions = {row: [caption.text for caption in several] for row, several in written.items()}
    captions |= {row: stories.windows.captions(rows) for row, rows in stories.references.items()}
    if nearest is not None:
        captions[NEAREST_TRAIN] = [nearest[i] for i in stories.place.tolist()]
    return {row: captions[row] for row in ROWS if row in captions}
