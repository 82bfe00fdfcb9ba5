"""The captions of every row for a pool of stories: written by the decoder, or taken from frames."""

from collections.abc import Callable

from pipeline.captioning.generate import Caption, generate_captions, story_seed
from pipeline.evaluation.references import GENERATED, MODEL, NEAREST_TRAIN, ROWS
from pipeline.evaluation.stories import Chunk, SplitStories
from pipeline.model.generator import StoryGenerator
from pipeline.model.prompt import PromptBuilder
from pipeline.params import GenerateParams


def write_captions(
    chunk: Chunk,
    stories: SplitStories,
    generator: StoryGenerator,
    prompts: PromptBuilder,
    params: GenerateParams,
    seed: int,
    progress: Callable[[int], object],
) -> dict[str, list[Caption]]:
    """What the decoder writes for each story, with the prefix and without it."""
    images, texts = (
        features(chunk.windows.context)
        for features in (stories.image_features, stories.text_features)
    )
    return {
        row: generate_captions(
            generator,
            prompts,
            images,
            texts,
            stories.contexts(chunk.windows),
            params,
            [story_seed(seed, story) for story in chunk.windows.story],
            use_prefix=row == MODEL,
            progress=progress,
        )
        for row in GENERATED
    }


def all_rows(
    chunk: Chunk,
    stories: SplitStories,
    written: dict[str, list[Caption]],
    nearest: list[str] | None,
) -> dict[str, list[str]]:
    """Row -> captions of the chunk's stories, in the order of `ROWS`.

    Args:
        nearest: the nearest training caption for every story of the split; None leaves it out.
    """
    captions = {row: [caption.text for caption in several] for row, several in written.items()}
    captions |= {row: stories.captions(frames) for row, frames in chunk.references.items()}
    if nearest is not None:
        captions[NEAREST_TRAIN] = [nearest[i] for i in chunk.place.tolist()]
    return {row: captions[row] for row in ROWS if row in captions}
