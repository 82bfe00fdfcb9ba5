"""A trained model in use: pictures and captions of a story in, the next caption out."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.adversarial.discriminator import load_discriminator
from pipeline.captioning.choose import Captioner
from pipeline.clip.frozen import FrozenClip
from pipeline.common.errors import UserError
from pipeline.compute.device import pick_device
from pipeline.dataset.story_dataset import Contexts
from pipeline.model.config import Encoder, GeneratorConfig
from pipeline.model.folder import load_generator
from pipeline.model.generator import StoryGenerator
from pipeline.model.language_model import load_prompts
from pipeline.model.layout import CONFIG_FILE, DISCRIMINATOR_FILE
from pipeline.params import GenerateParams
from pipeline.predict.context import Picture, read_context
from pipeline.predict.folder import copy_with_card, fetch_model, push, read_generate


@dataclass(frozen=True)
class Alternative:
    """One of several captions for the same frame."""

    caption: str
    score: float
    """By the model's `generate.choose`, higher is better: as a rule the mean cosine, in CLIP, of
    the caption to the image and to the caption that the model predicts for the next frame."""
    nll: float
    """Nats a token that the caption costs the decoder; lower is likelier."""
    finished: bool
    """Whether the decoder ended it itself, rather than being cut at its limit."""


@dataclass(eq=False)
class Storyteller:
    """Writes the caption of the frame that comes next. Made by `from_pretrained`, which sees to it
    that its parts belong together.

    Pictures and captions go through the very steps that a dataset's go through, so that a story of
    the dataset gets the caption that the evaluation wrote for it. For one thread at a time.
    """

    folder: Path
    captioner: Captioner

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        revision: str | None = None,
        clip: str | Path | None = None,
        decoder: str | Path | None = None,
    ) -> "Storyteller":
        """Load a model folder, with the frozen CLIP and language model that it names.

        Args:
            model: a folder, as the stages `train` and `adversarial` write them, or an id on the
                Hugging Face Hub.
            revision: branch, tag or commit of a model on the Hub.
            clip, decoder: where its CLIP and its language model lie, if not where they were when it
                was trained; with other weights than those they are refused.

        Raises:
            UserError: a file is missing or damaged, a backbone is not the one that the model was
                trained with, or the model looks its captions up.
        """
        folder = fetch_model(model, revision)
        generate = read_generate(folder)
        if generate.strategy == "retrieve":
            raise UserError(
                f"{folder} takes its captions from the training stories (generate.strategy "
                "retrieve), which are not with it, so it cannot go on from other stories: set "
                "another strategy and run dvc repro"
            )
        named = GeneratorConfig.read(folder / CONFIG_FILE).decoder.model
        generator = load_generator(
            folder, pick_device(), decoder=str(decoder) if decoder else nearby(named, folder)
        )
        encoder = Encoder.read(folder)
        frozen = load_clip(encoder, str(clip) if clip else nearby(encoder.model, folder))
        discriminator = None
        if (path := folder / DISCRIMINATOR_FILE).is_file():
            discriminator = load_discriminator(path, pick_device())
        prompts = load_prompts(generator.config)
        return cls(folder, Captioner(generator, prompts, frozen, generate, discriminator))

    @property
    def generator(self) -> StoryGenerator:
        """The trained model."""
        return self.captioner.generator

    @property
    def clip(self) -> FrozenClip:
        """What embeds pictures and captions for it."""
        return self.captioner.clip

    @property
    def generate(self) -> GenerateParams:
        """How captions are decoded and chosen; may be replaced."""
        return self.captioner.params

    @generate.setter
    def generate(self, params: GenerateParams) -> None:
        self.captioner = replace(self.captioner, params=params)

    @property
    def k(self) -> int:
        """Frames that the model reads before it writes the next caption."""
        return self.generator.config.k

    @property
    def does_without(self) -> bool:
        """Whether the model was trained to read frames that lack their image or their caption, and
        stories of fewer than K frames (`fusion.hide_share`)."""
        return self.generator.config.fusion.hide_share > 0

    def tell(
        self,
        images: Sequence[Picture | None],
        captions: Sequence[str | None] | None = None,
        seed: int = 0,
    ) -> str:
        """The caption of the frame after the given ones.

        Args:
            images: K or more pictures in order; of more than K the last K count.
            captions: a caption of each. A model that `does_without` takes None for a frame's
                caption or image, and for all captions; and fewer than K frames.
            seed: of the draws, if the model's `generate` settings draw any.

        Raises:
            UserError: what the model needs is missing, or a picture cannot be read.
        """
        return self.tell_many([self.read(images, captions)], [seed])[0]

    def tell_many(self, contexts: Sequence[Contexts], seeds: Sequence[int]) -> list[str]:
        """The captions after contexts that `read` gave, in their order; a seed for each."""
        if not contexts:
            return []
        written = self.captioner.write(Contexts.join(contexts), seeds)
        return [caption.text for caption in written]

    def alternatives(
        self,
        images: Sequence[Picture | None],
        captions: Sequence[str | None] | None,
        count: int,
        seed: int = 0,
    ) -> list[Alternative]:
        """`count` captions for the frame after the given ones, the best scored first.

        One of them is by the model's `generate.strategy`, the others are drawn by nucleus sampling
        under its `generate` settings. Arguments and errors as of `tell`.
        """
        return self.choose(self.read(images, captions), count, seed)

    def choose(self, context: Contexts, count: int, seed: int) -> list[Alternative]:
        """The same of a context that `read` gave."""
        (several,) = self.captioner.candidates(context, [seed], count)
        return [
            Alternative(caption.text, score, -float(np.mean(caption.logprobs)), caption.finished)
            for caption, score in sorted(several, key=lambda candidate: -candidate.score)
        ]

    def save_pretrained(self, out: str | Path, card: str | Path | None = None) -> None:
        """Copy the model folder to `out`, `card` becoming its model card.

        The evaluation writes a card with the scores, `data/model_card.md`.
        """
        copy_with_card(self.folder, Path(out), Path(card) if card else None)

    def push_to_hub(
        self,
        repo: str,
        card: str | Path | None = None,
        private: bool | None = None,
        token: str | None = None,
    ) -> str:
        """Upload the model folder with its card to `repo` (`owner/name`); returns the commit's URL.

        Raises UserError if the Hub refuses.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(Path(folder) / "model", card)
            return push(Path(folder) / "model", repo, private, token)

    def read(
        self, images: Sequence[Picture | None], captions: Sequence[str | None] | None = None
    ) -> Contexts:
        """Embed a story's last K frames: one context. Raises UserError as `tell` does."""
        return read_context(self.clip, self.k, self.does_without, images, captions)

    def predict(self, context: Contexts) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The CLIP embeddings that the model expects of the next frame, unit norm.

        Returns:
            Of its image, [dim_image], and of its caption, [dim_text].
        """
        image, text = self.generator.predict_embeddings(context.images, context.texts)
        return image[0], text[0]


def load_clip(encoder: Encoder, model: str) -> FrozenClip:
    """The CLIP of a model folder, from the folder or Hub id `model`.

    Raises UserError if it is not the one that the generator was trained on.
    """
    clip = FrozenClip.load(
        model,
        encoder.revision,
        encoder.precision,
        encoder.image_fit,
        encoder.text_overflow,
        max_words=encoder.max_words,
    )
    trained_on = (encoder.image_fingerprint, encoder.text_fingerprint)
    if (clip.fingerprint("image"), clip.fingerprint("text")) != trained_on:
        raise UserError(
            f"clip.model {model} is not the CLIP that this model was trained on ({encoder.model}), "
            "or another version of this code embeds with it: give the one that it was trained on, "
            "or train again (dvc repro)"
        )
    return clip


def nearby(backbone: str, folder: Path) -> str:
    """Where a backbone lies that a model folder names by a relative path.

    In the working directory, as when it was trained, or else in one above the model folder. What is
    in neither is left as it is: it may be an id on the Hub.
    """
    if not Path(backbone).is_absolute():
        for base in (Path(), *folder.resolve().parents):
            if (base / backbone).is_dir():
                return str(base / backbone)
    return backbone
