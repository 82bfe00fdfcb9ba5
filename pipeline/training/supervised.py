"""The multitask baseline: L = L_txt + alpha L_img + lambda L_align."""

from collections.abc import Iterable

import torch
from torch import Tensor

from pipeline.dataset.loaded import Batch
from pipeline.model.generator import Encoded, StoryGenerator
from pipeline.model.losses import embedding_losses, text_loss
from pipeline.params import LossParams
from pipeline.training.objective import Objective


class SupervisedObjective(Objective):
    """Likelihood of the next caption, and its image's and its text's CLIP embedding.

    Names: `nll` is L_txt in nats per token, `loss_img` is L_img of the predicted image embedding
    against the target image's, `loss_align` is L_align of the predicted text embedding against the
    target caption's.
    """

    criterion = "nll"

    def __init__(self, generator: StoryGenerator, loss: LossParams):
        self.generator = generator
        self.loss = loss

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Scalar losses `loss`, `nll`, `loss_img`, `loss_align` of a batch."""
        return self.losses(self.generator.encode(batch["images"], batch["texts"]), batch)

    def losses(self, encoded: Encoded, batch: Batch) -> dict[str, Tensor]:
        """The same, of a batch whose contexts have been encoded already."""
        nll = text_loss(self.generator.caption_nll(encoded.prefix, batch), batch["target_mask"])
        return self._named(nll, *embedding_losses(encoded, batch, self.loss))

    @torch.no_grad()
    def validate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """The same figures over many batches: nll per token, the others per window.

        The contrastive terms compare within a batch, so they depend on its size; all else does
        not depend on how the windows are batched.
        """
        nats = torch.zeros((), dtype=torch.float64)
        tokens = windows = 0
        img, align = torch.zeros_like(nats), torch.zeros_like(nats)
        for batch in batches:
            encoded = self.generator.encode(batch["images"], batch["texts"])
            nll = self.generator.caption_nll(encoded.prefix, batch)
            nats += nll.sum(dtype=torch.float64).cpu()
            tokens += int(batch["target_mask"].sum())
            size = len(batch["rows"])
            windows += size
            parts = embedding_losses(encoded, batch, self.loss)
            for total, part in zip((img, align), parts, strict=True):
                total += size * part.double().cpu()
        figures = self._named(nats / tokens, img / windows, align / windows)
        return {name: float(value) for name, value in figures.items()}

    def _named(self, nll: Tensor, img: Tensor, align: Tensor) -> dict[str, Tensor]:
        loss = nll
        for weight, term in ((self.loss.alpha, img), (self.loss.lambda_, align)):
            if weight:
                loss = loss + weight * term
        return {"loss": loss, "nll": nll, "loss_img": img, "loss_align": align}
