"""Heads that predict the target frame in CLIP's space."""

from torch import Tensor, nn
from torch.nn import functional as F


class EmbeddingHead(nn.Module):
    """MLP from the pooled context to a unit-norm embedding.

    The generator has two: one for the target's image embedding, one for its caption's text
    embedding. CLIP's image and text embeddings lie in different cones, so that one head drawn
    towards both ends near the text and far from the image.
    """

    def __init__(self, d_model: int, dim: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(d_model, 2 * d_model), nn.GELU(), nn.Linear(2 * d_model, dim)
        )

    def forward(self, z: Tensor) -> Tensor:
        """z [B, d_model] to unit-norm embeddings [B, dim]."""
        return F.normalize(self.layers(z), dim=-1)
