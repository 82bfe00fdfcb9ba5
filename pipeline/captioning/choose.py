"""Several captions for a frame, and the choice of one, which never sees the frame.

Best-of-n sampling: a decoder says more of what the heads know in one of several captions than in
its likeliest one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from pipeline.captioning.generate import Caption, generate_captions, story_seed
from pipeline.clip.frozen import FrozenClip
from pipeline.common.errors import UserError
from pipeline.dataset.story_dataset import Contexts
from pipeline.model.generator import StoryGenerator
from pipeline.model.prompt import PromptBuilder
from pipeline.params import GenerateParams


@runtime_checkable
class PairScorer(Protocol):
    """What a discriminator is asked for."""

    def score_pairs(
        self, images: Float32[ndarray, "b dim_image"], texts: Float32[ndarray, "b dim_text"]
    ) -> Float32[ndarray, " b"]: ...


class Candidate(NamedTuple):
    """One of the captions that are chosen among."""

    caption: Caption
    score: float
    """By `generate.choose`; higher is better."""


@dataclass(frozen=True)
class Captioner:
    """A generator that writes several captions for a frame, and says which is best."""

    generator: StoryGenerator
    """In eval mode."""
    prompts: PromptBuilder
    clip: FrozenClip
    """Of the features that the generator was trained on."""
    params: GenerateParams
    discriminator: PairScorer | None = None
    """The one that the generator was trained against, if any."""

    def __post_init__(self) -> None:
        if self.discriminator is None and self.params.choose == "discriminator":
            raise UserError(
                "generate.choose is discriminator, but this model was trained against none: set "
                "gan.variant and gan.reward to what has one, or generate.choose to predicted"
            )

    def write(
        self,
        contexts: Contexts,
        seeds: Sequence[int],
        progress: Callable[[int], object] | None = None,
    ) -> list[Caption]:
        """The best caption of each of N contexts; a seed for each, see `story_seed`.

        `progress` is called with the number of contexts that are done with.
        """
        if self.params.samples == 1:
            return generate_captions(
                self.generator, self.prompts, contexts, self.params, seeds, progress=progress
            )
        every = self.candidates(contexts, seeds, self.params.samples, progress)
        return [max(several, key=lambda candidate: candidate.score).caption for several in every]

    def candidates(
        self,
        contexts: Contexts,
        seeds: Sequence[int],
        count: int,
        progress: Callable[[int], object] | None = None,
    ) -> list[list[Candidate]]:
        """`count` captions of each of N contexts, the one by `generate.strategy` first."""
        if not len(contexts):
            return []
        greedy = self.params.strategy == "greedy"
        own = [
            None if greedy and not number else story_seed(seed, str(number))
            for seed in seeds
            for number in range(count)
        ]
        captions = generate_captions(
            self.generator,
            self.prompts,
            contexts,
            self.params.model_copy(update={"strategy": "nucleus"}),
            own,
            progress=None if progress is None else lambda done: progress(done // count),
            copies=count,
        )
        scores = self._scores(contexts, captions, count)
        pairs = [Candidate(*pair) for pair in zip(captions, scores.tolist(), strict=True)]
        return [pairs[i : i + count] for i in range(0, len(pairs), count)]

    def _scores(
        self, contexts: Contexts, captions: list[Caption], count: int
    ) -> Float32[ndarray, " n_count"]:
        """What `generate.choose` thinks of captions, `count` of each context."""
        if self.params.choose == "likelihood":
            return np.array([np.mean(caption.logprobs) for caption in captions], np.float32)
        texts = self.clip.encode_texts([caption.text for caption in captions])
        # An empty caption says nothing, though CLIP has a vector for it.
        texts = texts * np.array([[bool(caption.text)] for caption in captions], np.float32)
        if self.params.choose == "mbr":
            own = texts.reshape(-1, count, texts.shape[1])
            others = own.sum(axis=1, keepdims=True) - own  # [N, count, D]
            return (own * others).sum(axis=2).reshape(-1) / max(1, count - 1)
        image, text = (
            np.repeat(vectors, count, axis=0)
            for vectors in self.generator.predict_embeddings(contexts.images, contexts.texts)
        )
        if self.params.choose == "discriminator":
            assert self.discriminator is not None
            return self.discriminator.score_pairs(image, texts)
        cosines: Float32[ndarray, " n_count"] = (texts * (image + text)).sum(axis=1) / 2
        return cosines
