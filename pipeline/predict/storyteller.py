"""A trained model in use: pictures and captions of a story in, the next caption out."""

import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

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
from pipeline.predict.folder import copy_with_card, fetch_model, push, read_generate
from pipeline.prepare.grounding import plain_captions

Picture = str | Path | bytes | Image.Image
"""A path, an encoded image, or an image in memory."""

LOSSLESS = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
"""Modes that a PNG holds as they are."""


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
        if captions is None:
            captions = [None] * len(images)
        if len(images) != len(captions):
            raise UserError(
                f"there are {len(images)} images and {len(captions)} captions: give one for each"
            )
        before = max(0, len(images) - self.k)
        pictures, texts = list(images[before:]), plain_captions(captions[before:])
        self._check_whole(pictures, texts, before)
        # Frames of which nothing is known stand where the story has not begun.
        lacking = self.k - len(pictures)
        pictures, texts = [None] * lacking + pictures, [""] * lacking + texts
        pixels = [
            self._pixels(picture, number)
            for number, picture in enumerate(pictures, start=before - lacking + 1)
            if picture is not None
        ]
        vectors = (
            self.clip.encode_images(np.array(pixels)),
            self.clip.encode_texts([text for text in texts if text]),
        )
        known = ([picture is not None for picture in pictures], [bool(text) for text in texts])
        # Through float16, as the feature store keeps them and the model was trained on; what is
        # not there is zero.
        stored = [np.zeros((1, self.k, self.clip.dim), np.float32) for _ in vectors]
        for rows, where, found in zip(stored, known, vectors, strict=True):
            rows[0, where] = found.astype(np.float16)
        # It is no story of a dataset's, and nothing is kept of it: no id, no key.
        return Contexts([""], stored[0], stored[1], [texts], [b""])

    def _check_whole(
        self, pictures: Sequence[Picture | None], texts: Sequence[str], before: int
    ) -> None:
        """Raise UserError if frames lack what the model needs; `before` frames are left out."""
        if not any(picture is not None for picture in pictures) and not any(texts):
            raise UserError("there is no image and no caption to go on from: give some")
        if self.does_without:
            return
        train = "or train a model that does without (fusion.hide_share 0.25)"
        if len(pictures) < self.k:
            raise UserError(
                f"the model was trained to read {self.k} frames and has been given "
                f"{len(pictures)}: give {self.k}, {train}"
            )
        for number, (picture, text) in enumerate(zip(pictures, texts, strict=True), before + 1):
            for there, what in ((picture is not None, "image"), (bool(text), "caption")):
                if not there:
                    raise UserError(
                        f"frame {number} has no {what}: the model was trained on frames that all "
                        f"have one, so give it one, {train}"
                    )

    def _pixels(self, picture: Picture, number: int) -> NDArray[np.uint8]:
        try:
            return self.clip.preprocess(encoded_bytes(picture))
        except UserError as error:
            name = f" ({picture})" if isinstance(picture, str | Path) else ""
            raise UserError(f"image {number}{name}: {error}") from None

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


def encoded_bytes(image: Picture) -> bytes:
    """The bytes of an encoded image, whatever way it is given.

    Raises UserError if there is no such file, or it may not be read.
    """
    if isinstance(image, bytes):
        return image
    if isinstance(image, Image.Image):
        buffer = io.BytesIO()
        form = "PNG" if image.mode in LOSSLESS else "TIFF"
        image.save(buffer, form, exif=image.getexif(), icc_profile=image.info.get("icc_profile"))
        return buffer.getvalue()
    try:
        return Path(image).read_bytes()
    except FileNotFoundError:
        raise UserError("there is no such file") from None
    except OSError as error:
        raise UserError(f"it cannot be read ({error.strerror})") from None


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
