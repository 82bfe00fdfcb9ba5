"""Frozen CLIP: image bytes and captions to unit vectors of the shared space.

The weights are loaded by the first call that encodes; until then, name, width and fingerprint come
from the files alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.clip.folder import LENGTH_STEP, ClipFolder, Modality, find_clip
from pipeline.clip.preprocess import ImagePreprocessor
from pipeline.common.errors import UserError
from pipeline.compute.device import pick_device, resolve_precision

if TYPE_CHECKING:
    from pipeline.clip.towers import ImageTower, TextTower

FORMAT_VERSION = 5
"""Raise it when a change of this code changes the embeddings: older ones are then left unread."""
OVERFLOWS = ("truncate", "chunks")


def first_words(text: str, count: int) -> str:
    """The first so many words of a text; white space between them is folded."""
    return " ".join(text.split()[:count])


@dataclass(eq=False)
class FrozenClip:
    """One CLIP model with the settings under which it embeds; see `load`."""

    folder: ClipFolder
    precision: str
    image_fit: str
    text_overflow: str
    batch_size: int
    max_words: int | None = None

    def __post_init__(self) -> None:
        if self.text_overflow not in OVERFLOWS:
            raise UserError(
                f"clip.text_overflow is {self.text_overflow!r}; it may be one of "
                f"{', '.join(OVERFLOWS)}"
            )
        folder = self.folder
        named = f"{folder.files.parameter} {folder.model}"
        self.preprocess = ImagePreprocessor.from_config(
            folder.processor, self.image_fit, folder.image_size, named
        )
        self._image_tower: ImageTower | None = None
        self._text_tower: TextTower | None = None
        self._fingerprints: dict[Modality, str] = {}

    @classmethod
    def load(
        cls,
        model: str,
        revision: str | None = None,
        precision: str = "auto",
        image_fit: str = "crop",
        text_overflow: str = "truncate",
        batch_size: int = 32,
        parameter: str = "clip.model",
        max_words: int | None = None,
    ) -> FrozenClip:
        """Open a CLIP model from a folder or the Hub.

        Args:
            model: a folder written by `save_pretrained`, or a Hub id.
            revision: branch, tag or commit of a Hub id.
            precision: auto, float32 or bfloat16; see `pipeline.compute.device.pick_dtype`.
            image_fit: crop, pad or squash.
            text_overflow: truncate or chunks.
            batch_size: rows per forward pass.
            parameter: the key in params.yaml that names the model, for messages.
            max_words: opening words that are read of a caption; None for all.

        Raises:
            UserError: if the model is out of reach or unusable, or a setting is unknown.
        """
        precision = resolve_precision(precision)
        folder = find_clip(model, revision, parameter)
        return cls(folder, precision, image_fit, text_overflow, batch_size, max_words)

    @classmethod
    def rebuild(cls, attributes: Mapping[str, Any], batch_size: int = 32) -> FrozenClip:
        """The encoder that wrote a feature store, from the store's attributes.

        Raises:
            UserError: if the model's files are no longer those that the store was written with.
        """
        modality: Modality = "image" if attributes["modality"] == "image" else "text"
        clip = cls.load(
            attributes["model"],
            attributes["revision"] or None,
            attributes["precision"],
            attributes.get("image_fit", "crop"),
            attributes.get("text_overflow", "truncate"),
            batch_size,
            max_words=attributes.get("max_words"),
        )
        if clip.fingerprint(modality) != attributes["fingerprint"]:
            raise UserError(
                f"clip.model {clip.folder.model}, or the code that embeds with it, has changed "
                f"since the {modality} features were written; run dvc repro to embed anew"
            )
        return clip

    def of_whole_captions(self) -> FrozenClip:
        """The same that reads every caption to its end: what captions are scored by."""
        return self if self.max_words is None else replace(self, max_words=None)

    @property
    def dim(self) -> int:
        """D, the width of an embedding."""
        return self.folder.dim

    def settings(self, modality: Modality) -> dict[str, Any]:
        """What `rebuild` needs to make this encoder again, as flat values."""
        own: dict[str, Any] = (
            {"image_fit": self.image_fit}
            if modality == "image"
            else {"text_overflow": self.text_overflow, **self._cut}
        )
        return {
            "modality": modality,
            "model": self.folder.model,
            "revision": self.folder.files.revision or "",
            "precision": self.precision,
            **own,
        }

    def fingerprint(self, modality: Modality) -> str:
        """SHA-256, in hex, of everything that an embedding of one modality depends on.

        That is the tower's weights and configuration, the preprocessing, the precision and
        `FORMAT_VERSION`. Left out, because they move an embedding by less than the float16 it is
        stored in: batch size, device, thread count and library versions (a library that changed a
        result for good would have a bug; `FORMAT_VERSION` is there for that). The model's name is
        left out too: the same weights in another folder give the same embeddings.

        Read from the files once per object.
        """
        if modality not in self._fingerprints:
            self._fingerprints[modality] = self._digest(modality)
        return self._fingerprints[modality]

    @property
    def _cut(self) -> dict[str, int]:
        """`max_words` where it is set: whole captions keep the fingerprint that they had."""
        return {} if self.max_words is None else {"max_words": self.max_words}

    def _digest(self, modality: Modality) -> str:
        if modality == "image":
            preprocessing = {**asdict(self.preprocess), "backend": "pillow"}
        else:
            preprocessing = {
                "overflow": self.text_overflow,
                "tokenizer": self.folder.files.tokenizer_digest(),
                "length_step": LENGTH_STEP,
                **self._cut,
            }
        content = {
            "format_version": FORMAT_VERSION,
            "modality": modality,
            "tower": self.folder.tower_digest(modality),
            "preprocessing": preprocessing,
            "precision": self.precision,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def encode_images(self, pixels: np.ndarray) -> np.ndarray:
        """Embed preprocessed images.

        Args:
            pixels: uint8 [N, 3, S, S], stacked results of `preprocess`.

        Returns:
            float32 [N, D], unit norm.
        """
        if self._image_tower is None:
            from pipeline.clip.towers import ImageTower  # which loads torch

            self._image_tower = ImageTower(
                self.folder, self.preprocess, self.precision, self.batch_size, pick_device()
            )
        starts = range(0, len(pixels), self.batch_size)
        parts = [self._image_tower.encode(pixels[i : i + self.batch_size]) for i in starts]
        return np.concatenate(parts) if parts else np.zeros((0, self.dim), np.float32)

    def encode_texts(
        self, texts: list[str], progress: Callable[[int], object] | None = None
    ) -> np.ndarray:
        """Embed captions: float32 [N, D], unit norm. See `TextTower.encode`."""
        if self.max_words is not None:
            texts = [first_words(text, self.max_words) for text in texts]
        return self.text_tower().encode(texts, progress)

    def text_tower(self) -> TextTower:
        """The text tower, loaded by the first call; so what is wrong with it can be said early."""
        if self._text_tower is None:
            from pipeline.clip.towers import TextTower

            self._text_tower = TextTower(
                self.folder, self.text_overflow, self.precision, self.batch_size, pick_device()
            )
        return self._text_tower
