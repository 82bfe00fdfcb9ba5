"""A generator that samples captions, and the CLIP that reads them."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.captioning.generate import Caption, generate_captions, story_seeds
from pipeline.captioning.samples import Samples
from pipeline.clip.frozen import FrozenClip
from pipeline.dataset.story_dataset import Contexts
from pipeline.model.generator import StoryGenerator
from pipeline.model.prompt import PromptBuilder
from pipeline.params import GenerateParams


@dataclass(frozen=True)
class Sampler:
    """Writes captions by the nucleus of `generate`, whatever its strategy is."""

    generator: StoryGenerator
    prompts: PromptBuilder
    clip: FrozenClip
    """Of the text features, so that a caption's embedding is what the store would have kept."""
    params: GenerateParams

    def sample(
        self,
        contexts: Contexts,
        seeds: Sequence[int],
        progress: Callable[[int], object] | None = None,
    ) -> Samples:
        """One caption for each context, with the seed given for it; see `story_seed`."""
        captions = self._write(contexts, "nucleus", seeds, progress)
        return Samples(
            key=np.frombuffer(
                b"".join(sample_key(k, s) for k, s in zip(contexts.keys, seeds, strict=True)),
                np.uint8,
            ).reshape(-1, 32),
            story=np.array(contexts.story, dtype=object),
            text=np.array([caption.text for caption in captions], dtype=object),
            length=np.array([len(caption.tokens) for caption in captions], np.int64),
            token=np.array([t for caption in captions for t in caption.tokens], np.int64),
            logprob=np.array([p for caption in captions for p in caption.logprobs], np.float32),
            finished=np.array([caption.finished for caption in captions], np.bool_),
            embedding=self.embed([caption.text for caption in captions]),
        )

    def sample_each(self, contexts: Contexts, per_story: int, seed: int, occasion: str) -> Samples:
        """`per_story` captions of each context, context by context; see `story_seeds`."""
        rows = [i for i in range(len(contexts)) for _ in range(per_story)]
        seeds = story_seeds(seed, contexts.story, per_story, occasion)
        return self.sample(contexts.take(rows), seeds)

    def greedy(self, contexts: Contexts) -> list[Caption]:
        """The likeliest caption of each context, token by token."""
        return self._write(contexts, "greedy", [0] * len(contexts), None)

    def embed(self, texts: list[str]) -> np.ndarray:
        """CLIP text embeddings as the store keeps them: float16 [N, D], unit norm."""
        return self.clip.encode_texts(texts).astype(np.float16)

    def fingerprint(self) -> str:
        """SHA-256, in hex, of all that a sample depends on besides its context and its seed.

        Left out is the batch size, which moves a caption only where two tokens tie.
        """
        own = {"batch_size", "strategy"}
        content = {
            "generator": self.generator.fingerprint(),
            "generate": self.params.model_dump(mode="json", exclude=own),
            "clip": self.clip.fingerprint("text"),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _write(
        self,
        contexts: Contexts,
        strategy: str,
        seeds: Sequence[int],
        progress: Callable[[int], object] | None,
    ) -> list[Caption]:
        training = self.generator.training
        self.generator.eval()
        captions = generate_captions(
            self.generator,
            self.prompts,
            contexts,
            self.params.model_copy(update={"strategy": strategy}),
            seeds,
            progress=progress,
        )
        self.generator.train(training)
        return captions


def sample_key(context: bytes, seed: int) -> bytes:
    """SHA-256 of a context's key and a sample's seed."""
    return hashlib.sha256(context + seed.to_bytes(8, "big")).digest()
