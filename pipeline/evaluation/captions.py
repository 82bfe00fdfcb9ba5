"""Captions of a split and of its reference rows, scored against the target image."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.captioning.generate import Caption, generate_captions, story_seed
from pipeline.evaluation.clipscore import cosine
from pipeline.evaluation.references import GROUND_TRUTH
from pipeline.evaluation.scorer import CaptionScorer
from pipeline.evaluation.stories import Chunk, SplitStories
from pipeline.evaluation.tally import MODEL, NO_PREFIX, SplitTally
from pipeline.model.generator import StoryGenerator
from pipeline.model.prompt import PromptBuilder
from pipeline.params import GenerateParams


def score_captions(
    split: str,
    stories: SplitStories,
    generator: StoryGenerator,
    prompts: PromptBuilder,
    scorer: CaptionScorer,
    params: GenerateParams,
    seed: int,
    tally: SplitTally,
    progress: Callable[[int], object],
) -> Iterator[dict[str, Any]]:
    """Caption every story of a split, score all rows, and put the scores into `tally`.

    The cosine is between a caption's text embedding and the target's *image* embedding.

    Yields:
        one record per story, as it stands in predictions.jsonl.
    """
    for chunk in stories.chunks():
        generated = {
            row: _generate(chunk, stories, generator, prompts, params, seed, use_prefix, progress)
            for row, use_prefix in ((MODEL, True), (NO_PREFIX, False))
        }
        embeddings = {
            row: scorer.embed([caption.text for caption in captions])
            for row, captions in generated.items()
        }
        for row, frames in chunk.references.items():
            embeddings[row] = (
                stories.text_features(frames)
                if scorer.reads_store
                else scorer.embed(stories.captions(frames))
            )
        images = stories.image_features(chunk.windows.target)
        cosines = {row: cosine(texts, images) for row, texts in embeddings.items()}
        tally.add(cosines, [caption.text for caption in generated[MODEL]])
        yield from _records(split, chunk, stories, generated[MODEL], cosines)


def _generate(
    chunk: Chunk,
    stories: SplitStories,
    generator: StoryGenerator,
    prompts: PromptBuilder,
    params: GenerateParams,
    seed: int,
    use_prefix: bool,
    progress: Callable[[int], object],
) -> list[Caption]:
    return generate_captions(
        generator,
        prompts,
        stories.image_features(chunk.windows.context),
        stories.text_features(chunk.windows.context),
        stories.contexts(chunk.windows),
        params,
        [story_seed(seed, story) for story in chunk.windows.story],
        use_prefix,
        progress,
    )


def _records(
    split: str,
    chunk: Chunk,
    stories: SplitStories,
    captions: list[Caption],
    cosines: dict[str, NDArray[np.float64]],
) -> Iterator[dict[str, Any]]:
    windows = chunk.windows
    contexts = stories.contexts(windows)
    references = stories.captions(windows.target)
    scores = {row: np.round(values, 6).tolist() for row, values in cosines.items()}
    for i, story in enumerate(windows.story):
        yield {
            "split": split,
            "story_id": story,
            "context": contexts[i],
            "context_images": stories.image_places(windows.context[i]),
            "target_image": stories.image_places(windows.target[i : i + 1])[0],
            "reference": references[i],
            "prediction": captions[i].text,
            "finished": captions[i].finished,
            "score": scores[MODEL][i],
            "reference_score": scores[GROUND_TRUTH][i],
            "scores": {row: values[i] for row, values in scores.items()},
        }
