"""The story generator: K frames and captions in; the next caption, image and text embedding out.

- fusion encoder over the frozen CLIP embeddings of the context (`fusion.py`);
- two heads, or one, that predict the target's CLIP embeddings (likewise there);
- a causal LM, frozen by default, that reads [opening; prefix; prompt; target] (`decoder.py`):
  the opening is what its tokenizer puts before every text, for GPT-2 nothing.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Float32
from numpy import ndarray
from torch import Tensor, nn

from pipeline.common.errors import UserError
from pipeline.compute.device import pick_device, pick_dtype
from pipeline.compute.packed_linear import pack_frozen
from pipeline.model.config import GeneratorConfig
from pipeline.model.decoder import PrefixDecoder
from pipeline.model.fusion import EmbeddingHead, FusionEncoder
from pipeline.model.language_model import find_decoder, load_language_model, load_prompts


class Encoded(NamedTuple):
    """What the generator makes of a batch of contexts."""

    z: Float[Tensor, "b d_model"]
    """Pooled context."""
    prefix: Float[Tensor, "b p h"]
    """Embeddings that go before the prompt, in the LM's dtype."""
    image_pred: Float[Tensor, "b dim_image"]
    """Predicted CLIP embedding of the target image, unit norm."""
    text_pred: Float[Tensor, "b dim_text"]
    """Predicted CLIP embedding of the target caption, unit norm."""

    @property
    def predicted(self) -> tuple[Float[Tensor, "b dim_image"], Float[Tensor, "b dim_text"]]:
        """Both predicted embeddings."""
        return self.image_pred, self.text_pred


class Told(NamedTuple):
    """Embeddings of targets that the prefix of some windows is made from, in place of predicted
    ones."""

    image: Float[Tensor, "b dim_image"]
    text: Float[Tensor, "b dim_text"]
    where: Bool[Tensor, " b"]
    """The windows that are told; the others' rows do not count."""


class StoryGenerator(nn.Module):
    """Fusion encoder, heads and prefix decoder under one name."""

    def __init__(self, config: GeneratorConfig, lm: Any, opening: Sequence[int] = ()):
        """`lm` is the loaded causal LM and `opening` what its tokenizer puts before every text.

        `from_config` loads both by name.
        """
        super().__init__()
        self.config = config
        self.fusion = FusionEncoder(config)
        self.image_head = EmbeddingHead(config.fusion.d_model, config.dim_image)
        self.text_head: EmbeddingHead | None = None
        if config.fusion.embedding_heads == "two":
            self.text_head = EmbeddingHead(config.fusion.d_model, config.dim_text)
        elif config.dim_image != config.dim_text:
            raise UserError(
                "fusion.embedding_heads is one, but image and text features are of different "
                f"widths ({config.dim_image} and {config.dim_text}): set it to two"
            )
        self.decoder = PrefixDecoder(config, lm, opening)

    @classmethod
    def from_config(cls, config: GeneratorConfig) -> "StoryGenerator":
        """A generator on the decoder that the config names, the rest freshly initialised.

        Frozen weights of the decoder are packed for the CPU.

        Raises UserError when the decoder cannot be loaded, has too few positions, cannot do what
        `check_model` asks, has nowhere to put adapters that are wanted, or is not the one any more
        that the config was made with.
        """
        decoder = config.decoder
        folder = find_decoder(decoder)
        if config.decoder_digest not in (None, folder.digest()):
            raise folder.error(
                "its files are not the ones any more that this generator was trained with, and "
                "their captions would mean nothing; put the old files back, or train again with "
                "dvc repro -f train"
            )
        dtype = torch.float32  # what is trained would lose small updates in less
        if decoder.tune != "full":
            dtype = pick_dtype(decoder.precision, pick_device())
        opening = load_prompts(config).opening
        lm = load_language_model(folder, dtype)
        config = config.model_copy(update={"decoder_digest": folder.digest()})
        generator = cls(config, lm, opening)
        pack_frozen(generator.decoder.lm)
        return generator

    def encode(
        self,
        images: Float[Tensor, "b k dim_image"],
        texts: Float[Tensor, "b k dim_text"],
        told: Told | None = None,
    ) -> Encoded:
        """Encode contexts: embeddings of their frames and captions, unit norm.

        `told` counts with `decoder.embedding_prefix` alone, and is for training.
        """
        positions, z = self.fusion(images, texts)
        image_pred, text_pred = self._heads(z)
        known = image_pred, text_pred
        if told is not None:
            where = told.where[:, None]
            known = (
                torch.where(where, told.image, image_pred),
                torch.where(where, told.text, text_pred),
            )
        return Encoded(z, self.decoder.prefix(positions, z, *known), image_pred, text_pred)

    def predict(
        self, images: Float[Tensor, "b k dim_image"], texts: Float[Tensor, "b k dim_text"]
    ) -> tuple[Float[Tensor, "b dim_image"], Float[Tensor, "b dim_text"]]:
        """The predicted embeddings that `encode` gives, without the prefix."""
        return self._heads(self.fusion(images, texts)[1])

    def _heads(self, z: Tensor) -> tuple[Tensor, Tensor]:
        image_pred = self.image_head(z)
        return image_pred, image_pred if self.text_head is None else self.text_head(z)

    @torch.inference_mode()
    def predict_embeddings(
        self, images: Float32[ndarray, "b k dim_image"], texts: Float32[ndarray, "b k dim_text"]
    ) -> tuple[Float32[ndarray, "b dim_image"], Float32[ndarray, "b dim_text"]]:
        """What the heads predict after contexts: image and text embeddings of the targets, unit
        norm; arrays in and out, as the feature store has them."""
        device = next(self.parameters()).device
        inputs = (torch.from_numpy(embeddings).to(device) for embeddings in (images, texts))
        image, text = self.predict(*inputs)
        return image.float().cpu().numpy(), text.float().cpu().numpy()

    def caption_nll(
        self, prefix: Float[Tensor, "b p h"] | None, batch: Mapping[str, Tensor]
    ) -> Float[Tensor, "b t"]:
        """Nats of each token of the target captions of a batch; see `PrefixDecoder.token_nll`.

        `prefix=None` leaves the prefix out; rows of another story's prefix may be handed in.
        """
        text = (batch[n] for n in ("prompt_ids", "prompt_mask", "target_ids", "target_mask"))
        return self.decoder.token_nll(prefix, *text)

    def fingerprint(self) -> str:
        """SHA-256, in hex, of the config and of every weight, the frozen ones included."""
        digest = hashlib.sha256(self.config.model_dump_json().encode())
        for name, parameter in sorted(self.named_parameters()):
            digest.update(name.encode())
            # As bytes, since NumPy has no bfloat16.
            weights = parameter.detach().cpu().contiguous().view(torch.uint8)
            digest.update(weights.numpy().tobytes())
        return digest.hexdigest()

    def trainable(self) -> dict[str, nn.Parameter]:
        """The parameters that training changes, by name, sorted; tied ones once."""
        return {n: p for n, p in sorted(self.named_parameters()) if p.requires_grad}

    def trainable_state(self) -> dict[str, Tensor]:
        """A copy on the CPU of what training changes, by sorted name."""
        return {n: p.detach().cpu().clone() for n, p in self.trainable().items()}

    @torch.no_grad()
    def load_trainable(self, state: dict[str, Tensor]) -> None:
        """Put back what `trainable_state` gave.

        Raises UserError when names or shapes are not those of this generator.
        """
        own = self.trainable()
        wrong = sorted(set(own) ^ set(state)) or [n for n in own if own[n].shape != state[n].shape]
        if wrong:
            raise UserError(
                f"the weights do not belong to this generator (first difference: {wrong[0]}): "
                "train again with the present parameters (dvc repro -f train)"
            )
        for name, parameter in own.items():
            parameter.copy_(state[name])
