"""The discriminator: does this caption belong to this image, and did a person write it?"""

import json
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from pipeline.common.errors import UserError, reason
from pipeline.common.files import replacing
from pipeline.params import DiscriminatorParams


class PairScores(NamedTuple):
    """What the discriminator makes of B pairs."""

    score: Float[Tensor, " b"]
    """Trained to be above 1 for real pairs and below -1 for fakes, so that 0 divides them."""
    features: Float[Tensor, "b width"]
    """Before the output layer; as wide as the last of `widths`."""


class Discriminator(nn.Module):
    """MLP on pairs of CLIP embeddings.

    It reads [image; text; image * text]. The products are the terms of the cosine: an MLP on the
    two embeddings alone would have to find multiplication from the few pairs there are. They are
    left out where `products` says so, and where image and text embeddings differ in width.
    """

    def __init__(self, dim_image: int, dim_text: int, params: DiscriminatorParams):
        super().__init__()
        self.dims = (dim_image, dim_text)
        self.params = params
        self.multiplies = params.products and dim_image == dim_text
        width = dim_image + dim_text + (dim_image if self.multiplies else 0)
        layers: list[nn.Module] = []
        for hidden in params.widths:
            layers += [self._linear(width, hidden), nn.LeakyReLU(0.2), nn.Dropout(params.dropout)]
            width = hidden
        self.hidden = nn.Sequential(*layers)
        self.score = self._linear(width, 1)

    def forward(
        self, images: Float[Tensor, "b dim_image"], texts: Float[Tensor, "b dim_text"]
    ) -> PairScores:
        """Score pairs of embeddings, unit norm."""
        # To unit variance, as in the fusion encoder.
        parts = [x * dim**0.5 for x, dim in zip((images, texts), self.dims, strict=True)]
        if self.multiplies:
            parts.append(parts[0] * parts[1])
        features = self.hidden(torch.cat(parts, dim=-1))
        return PairScores(self.score(features).squeeze(-1), features)

    @torch.inference_mode()
    def score_pairs(
        self, images: Float32[ndarray, "b dim_image"], texts: Float32[ndarray, "b dim_text"]
    ) -> Float32[ndarray, " b"]:
        """The scores of `forward`; arrays in and out, as the feature store has them."""
        device = next(self.parameters()).device
        pairs = (torch.from_numpy(embeddings).to(device) for embeddings in (images, texts))
        scores: Float32[ndarray, " b"] = self(*pairs).score.float().cpu().numpy()
        return scores

    def _linear(self, inputs: int, outputs: int) -> nn.Module:
        layer = nn.Linear(inputs, outputs)
        return spectral_norm(layer) if self.params.spectral_norm else layer


def save_discriminator(path: Path, discriminator: Discriminator) -> None:
    """Write the weights, with what is needed to build it again in the header."""
    weights = {n: t.detach().cpu().contiguous() for n, t in discriminator.state_dict().items()}
    shape = {"dims": discriminator.dims, "params": discriminator.params.model_dump(mode="json")}
    with replacing(path) as partial:
        save_file(weights, partial, metadata={"discriminator": json.dumps(shape, sort_keys=True)})


def load_discriminator(path: Path, device: torch.device) -> Discriminator:
    """Read what `save_discriminator` wrote, in eval mode.

    Raises:
        UserError: the file is broken.
    """
    try:
        with safe_open(path, framework="pt") as file:
            shape = json.loads(file.metadata()["discriminator"])
        weights = load_file(path)
        dim_image, dim_text = shape["dims"]
        params = DiscriminatorParams.model_validate(shape["params"])
        discriminator = Discriminator(dim_image, dim_text, params)
        discriminator.load_state_dict(weights)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{path} is broken ({reason(error)}): delete its folder and run dvc repro adversarial"
        ) from error
    return discriminator.to(device).eval()
