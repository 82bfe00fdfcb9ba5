"""The encoder over the context, F frames in, F positions and one pooled vector out; and the heads
that predict the target frame in CLIP's space from that vector."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.config import GeneratorConfig

FEED_FORWARD_FACTOR = 4
POSITION_STD = 0.5
"""Initial scale of the position embeddings, against tokens of about unit scale."""


class FusionEncoder(nn.Module):
    """`z = mean_pool(Transformer(project([image; text]) + position))`.

    - of the K frames it reads all, or the last alone;
    - image and text embedding of a frame are concatenated and projected together, a ReLU behind
      it by parameter; or the image embedding alone is;
    - position embeddings are learned, and a parameter switches them off: the pooled vector of a
      Transformer without them does not depend on the order of its frames;
    - pre-norm Transformer with GELU, layer norm at the end.
    """

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        fusion = config.fusion
        both = fusion.modalities == "both"
        self.dims = (config.dim_image, config.dim_text) if both else (config.dim_image,)
        self.frames = config.frames
        self.project = nn.Linear(sum(self.dims), fusion.d_model)
        self.activation = nn.ReLU() if fusion.projection == "relu" else nn.Identity()
        self.position: nn.Parameter | None = None
        if fusion.position_embeddings:
            self.position = nn.Parameter(POSITION_STD * torch.randn(self.frames, fusion.d_model))
        self.drop = nn.Dropout(fusion.dropout)
        layer = nn.TransformerEncoderLayer(
            fusion.d_model,
            fusion.heads,
            FEED_FORWARD_FACTOR * fusion.d_model,
            fusion.dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.transformer = nn.TransformerEncoder(
            layer, fusion.layers, norm=nn.LayerNorm(fusion.d_model), enable_nested_tensor=False
        )

    def forward(
        self, images: Float[Tensor, "b k dim_image"], texts: Float[Tensor, "b k dim_text"]
    ) -> tuple[Float[Tensor, "b f d_model"], Float[Tensor, "b d_model"]]:
        """Encode a batch of contexts, unit norm: the encoder's positions, and their mean z."""
        read = [x[:, -self.frames :] for x in (images, texts)[: len(self.dims)]]
        # Unit-norm vectors have components of 1/sqrt(D): bring them to unit variance, on which
        # the usual initialisation of a Linear rests.
        scaled = [x * dim**0.5 for x, dim in zip(read, self.dims, strict=True)]
        tokens = self.activation(self.project(torch.cat(scaled, dim=-1)))  # [B, F, d_model]
        if self.position is not None:
            tokens = tokens + self.position
        positions = self.transformer(self.drop(tokens))
        return positions, positions.mean(dim=1)


class EmbeddingHead(nn.Module):
    """MLP from the pooled context to a unit-norm embedding.

    The generator has two by default: one for the target's image embedding, one for its caption's
    text embedding. CLIP's image and text embeddings lie in different cones, so that one head drawn
    towards both ends near the text and far from the image.
    """

    def __init__(self, d_model: int, dim: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(d_model, 2 * d_model), nn.GELU(), nn.Linear(2 * d_model, dim)
        )

    def forward(self, z: Float[Tensor, "b d_model"]) -> Float[Tensor, "b dim"]:
        """z to embeddings of unit norm."""
        return F.normalize(self.layers(z), dim=-1)
