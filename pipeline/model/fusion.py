"""The encoder over the context: K frames in, K positions and one pooled vector out."""

import torch
from torch import Tensor, nn

from pipeline.model.config import GeneratorConfig

FEED_FORWARD_FACTOR = 4
POSITION_STD = 0.5
"""Initial scale of the position embeddings, against tokens of about unit scale."""


class FusionEncoder(nn.Module):
    """`z = mean_pool(Transformer(project([image; text]) + position))`.

    - image and text embedding of a frame are concatenated and projected together;
    - position embeddings are learned, and a parameter switches them off: the pooled vector of a
      Transformer without them does not depend on the order of its frames;
    - pre-norm Transformer with GELU, layer norm at the end.
    """

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        fusion = config.fusion
        self.dims = (config.dim_image, config.dim_text)
        self.project = nn.Linear(config.dim_image + config.dim_text, fusion.d_model)
        self.position: nn.Parameter | None = None
        if fusion.position_embeddings:
            self.position = nn.Parameter(POSITION_STD * torch.randn(config.k, fusion.d_model))
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

    def forward(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a batch of contexts.

        Args:
            images: [B, K, dim_image], unit norm.
            texts: [B, K, dim_text], unit norm.

        Returns:
            The encoder's positions [B, K, d_model] and their mean z [B, d_model].
        """
        # Unit-norm vectors have components of 1/sqrt(D): bring them to unit variance, on which
        # the usual initialisation of a Linear rests.
        scaled = [x * dim**0.5 for x, dim in zip((images, texts), self.dims, strict=True)]
        tokens = self.project(torch.cat(scaled, dim=-1))  # [B, K, d_model]
        if self.position is not None:
            tokens = tokens + self.position
        positions = self.transformer(self.drop(tokens))
        return positions, positions.mean(dim=1)
