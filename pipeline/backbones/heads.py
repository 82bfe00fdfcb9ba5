"""Linear heads that name a frame's attributes, from its picture or from its caption."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pipeline.backbones.pictures import ATTRIBUTES
from pipeline.backbones.recipes import PROJECTION

HEAD_SCALE = 12.0  # of unit embeddings, before a linear head


class AttributeHeads(nn.Module):
    """A linear classifier for each attribute over unit embeddings of either modality."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Linear(PROJECTION, len(values)) for values, _ in ATTRIBUTES.values()
        )
        self.names = list(ATTRIBUTES)

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        names: Iterable[str] = tuple(ATTRIBUTES),
        weights: Mapping[str, float] = MappingProxyType({}),
    ) -> Tensor:
        """Mean cross-entropy in nats, weighted by attribute (1 where none is given).

        Args:
            embeddings: [B, 512], unit norm.
            labels: [B, attributes], a column for each of `ATTRIBUTES`.
        """
        total, weight = embeddings.new_zeros(()), 0.0
        for name in names:
            column = self.names.index(name)
            logits = self.heads[column](HEAD_SCALE * embeddings)
            total = total + weights.get(name, 1.0) * cross_entropy(logits, labels[:, column])
            weight += weights.get(name, 1.0)
        return total / weight
