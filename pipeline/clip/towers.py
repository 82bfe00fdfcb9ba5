"""The two halves of a frozen CLIP in torch, each with its own way of making fixed-shape batches.

A matrix product may round differently with the number of its rows, so a row's embedding would
depend on which rows happen to be encoded with it, and with that on where a run was interrupted.
Every forward pass therefore has a fixed shape: images are filled up to the batch size, captions to
the batch size and to a length that depends on the caption alone. At a fixed shape a row's numbers
do not depend on the other rows or on its place among them; a test holds this bit for bit.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPModel

from pipeline.clip.folder import LENGTH_STEP, ClipFolder
from pipeline.clip.layers import LastLayer, PatchEmbedding, fuse_quick_gelu
from pipeline.clip.preprocess import ImagePreprocessor
from pipeline.compute.attention import use_fastest_attention
from pipeline.compute.device import pick_dtype
from pipeline.compute.packed_linear import pack_frozen
from pipeline.pretrained.loading import load_pretrained
from pipeline.pretrained.tokenizer import load_tokenizer

LEGACY_END = 2


def _load(
    folder: ClipFolder,
    precision: str,
    device: torch.device,
    preprocessor: ImagePreprocessor | None = None,
) -> tuple[Any, LastLayer, Any, float]:
    """One frozen tower in eval mode: its Transformer in `precision`, the last layer of that, and
    the projection behind it, which stays in float32: it is small, and all that is left to do. Last
    comes what cosines are multiplied by to be logits.

    With a preprocessor it is the image tower, for pixels as that one gives them; else the text's.
    """
    model = load_pretrained(CLIPModel, folder.files, torch.float32)
    model.requires_grad_(False)
    if preprocessor is None:
        transformer, projection = model.text_model, model.text_projection
    else:
        transformer, projection = model.vision_model, model.visual_projection
        embeddings = transformer.embeddings
        channels = embeddings.patch_embedding.in_channels
        if channels != 3:
            raise folder.files.error(f"it sees {channels} channels; an RGB model is needed")
        embeddings.patch_embedding = PatchEmbedding(embeddings.patch_embedding, preprocessor)
    layers = transformer.encoder.layers
    for layer in layers:
        fuse_quick_gelu(layer.mlp)
    layers[-1] = LastLayer(layers[-1], causal=preprocessor is None)
    transformer.to(device, pick_dtype(precision, device))
    use_fastest_attention(transformer, device)
    pack_frozen(transformer)
    return transformer, layers[-1], projection.to(device), float(model.logit_scale.exp())


def _unit(vectors: Tensor) -> np.ndarray:
    """Rows of `vectors` scaled to length one, float32 on the CPU."""
    array: np.ndarray = F.normalize(vectors.float(), dim=-1).cpu().numpy()
    return array


class ImageTower:
    """Pixels to unit vectors."""

    def __init__(
        self,
        folder: ClipFolder,
        preprocessor: ImagePreprocessor,
        precision: str,
        batch_size: int,
        device: torch.device,
    ) -> None:
        self.batch_size = batch_size
        self.device = device
        self.transformer, last, self.projection, _ = _load(folder, precision, device, preprocessor)
        last.read_at = torch.zeros(batch_size, dtype=torch.int64, device=device)  # the class token

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """Embed at most `batch_size` images in one forward pass of fixed shape.

        Args:
            pixels: uint8 [B, 3, S, S] as the preprocessor gives them.

        Returns:
            float32 [B, D], unit norm.
        """
        filled = np.zeros((self.batch_size, *pixels.shape[1:]), np.uint8)
        filled[: len(pixels)] = pixels
        with torch.inference_mode():
            hidden = self.transformer(pixel_values=torch.from_numpy(filled).to(self.device))
            return _unit(self.projection(hidden.pooler_output.float()))[: len(pixels)]


class TextTower:
    """Captions to unit vectors."""

    def __init__(
        self,
        folder: ClipFolder,
        overflow: str,
        precision: str,
        batch_size: int,
        device: torch.device,
    ) -> None:
        self.overflow = overflow
        self.batch_size = batch_size
        self.device = device
        self.transformer, self.last_layer, self.projection, self.logit_scale = _load(
            folder, precision, device
        )
        words = self.transformer.get_input_embeddings().num_embeddings
        self.tokenizer = load_tokenizer(folder.files, words)
        self.max_tokens = min(self.tokenizer.model_max_length, folder.text_positions)
        self.tokenizer.split_special_tokens = True  # `<|endoftext|>` in a caption is text
        self.end = self._end_token(folder)

    def encode(
        self, texts: list[str], progress: Callable[[int], object] | None = None
    ) -> np.ndarray:
        """Embed captions, sorted by length into batches of fixed shape.

        A caption that is too long is cut by the tokenizer, which keeps the end token that CLIP
        reads its state from (`truncate`), or split by it into pieces whose unit vectors are
        averaged (`chunks`).

        Args:
            texts: N captions of any length.
            progress: called after every batch with the number of captions finished by it.

        Returns:
            float32 [N, D], unit norm.
        """
        pieces, owner = self._pieces(texts)
        tokens = np.array([len(piece) for piece in pieces], np.int64)
        lengths = np.minimum(-(-tokens // LENGTH_STEP) * LENGTH_STEP, self.max_tokens)
        remaining = np.bincount(owner, minlength=len(texts))
        sums = np.zeros((len(texts), self.projection.out_features), np.float32)
        for length in np.unique(lengths)[::-1]:  # the longest first: memory peaks at once
            alike = np.flatnonzero(lengths == length)
            for start in range(0, len(alike), self.batch_size):
                rows = alike[start : start + self.batch_size]
                vectors = self._forward([pieces[row] for row in rows], int(length))
                # Unbuffered and in order of the pieces, so that the sum's rounding is fixed.
                np.add.at(sums, owner[rows], vectors)
                before = np.count_nonzero(remaining)
                np.subtract.at(remaining, owner[rows], 1)
                if progress is not None:
                    progress(int(before - np.count_nonzero(remaining)))
        if self.overflow == "chunks":
            sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        return sums

    def _pieces(self, texts: list[str]) -> tuple[list[list[int]], np.ndarray]:
        """Token ids of every piece, start and end included, and which text each belongs to."""
        if not texts:
            return [], np.zeros(0, np.int64)
        split = self.overflow == "chunks"
        tokens = self.tokenizer(
            texts,
            truncation=True,
            max_length=self.max_tokens,
            return_attention_mask=False,
            return_overflowing_tokens=split,
        )
        owner = tokens["overflow_to_sample_mapping"] if split else range(len(texts))
        return tokens["input_ids"], np.array(owner, np.int64)

    def _end_token(self, folder: ClipFolder) -> int | None:
        """The token at whose place CLIP reads its state; None is the highest of a caption.

        As in Transformers: configs older than its `eos_token_id` say 2, whatever the token is.

        Raises:
            UserError: if the tokenizer never writes the token that the config names.
        """
        end = self.transformer.config.eos_token_id
        if end == LEGACY_END:
            return None
        written = self.tokenizer("")["input_ids"]
        if end not in written:
            raise folder.files.error(
                f"its config.json says that captions end with token {end} "
                f"(text_config.eos_token_id), but its tokenizer writes {written} around them; the "
                "two are not of one model"
            )
        return int(end)

    def _read_at(self, piece: list[int]) -> int:
        """The place of the end token: its last one, since to CLIP a character that the vocabulary
        lacks may be the same token."""
        if self.end is None:
            return piece.index(max(piece))
        return len(piece) - 1 - piece[::-1].index(self.end)

    def _forward(self, pieces: list[list[int]], length: int) -> np.ndarray:
        """Embed at most `batch_size` pieces of at most `length` tokens: float32 [B, D].

        Filled with the end token and without an attention mask: attention is causal and the state
        is read at the end of the piece, so nothing behind it can matter.
        """
        ids = np.full((self.batch_size, length), self.tokenizer.eos_token_id, np.int64)
        ends = np.zeros(self.batch_size, np.int64)
        for row, piece in enumerate(pieces):
            ids[row, : len(piece)] = piece
            ends[row] = self._read_at(piece)
        self.last_layer.read_at = torch.from_numpy(ends).to(self.device)
        with torch.inference_mode():
            hidden = self.transformer(input_ids=torch.from_numpy(ids).to(self.device))
            return _unit(self.projection(hidden.pooler_output.float()))[: len(pieces)]
