"""The multitask baseline: L = L_txt + alpha L_img + lambda L_align."""

from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from pipeline.dataset.loaded import Batch, LoadedDataset
from pipeline.model.generator import Encoded, StoryGenerator, Told
from pipeline.model.losses import embedding_losses, text_loss
from pipeline.params import LossParams
from pipeline.training.hiding import draw_hidden
from pipeline.training.objective import Objective

BLUR = 0.7
"""Length of the noise on a unit vector, which leaves it a cosine of 0.82 to itself."""


class SupervisedObjective(Objective):
    """Likelihood of the next caption, and its image's and its text's CLIP embedding.

    Names: `nll` is L_txt in nats per token, `loss_img` is L_img of the predicted image embedding
    against the target image's, `loss_align` is L_align of the predicted text embedding against the
    target caption's.
    """

    criterion = "nll"

    def __init__(
        self,
        generator: StoryGenerator,
        loss: LossParams,
        train: LoadedDataset | None = None,
        embedding_windows: int = 1,
        told_share: float = 0.0,
    ):
        """What is done besides in a training step:

        Args:
            train: what `embedding_windows` draws from.
            embedding_windows: how many windows the embedding losses see, those that the batch lacks
                drawn at random: more negatives and more of the data, without the language model.
            told_share: of the windows, whose prefix is made from the target's embeddings, blurred
                by `BLUR`. The decoder learns to say what is in an embedding while the heads still
                learn to predict it (teacher forcing; with noise as in CapDec, Nukrai et al., 2022).
        """
        self.generator = generator
        self.loss = loss
        self.train = train
        self.embedding_windows = embedding_windows
        self.told_share = told_share if generator.config.decoder.embedding_prefix else 0.0
        self.hide_share = generator.config.fusion.hide_share

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Scalar losses `loss`, `nll`, `loss_img`, `loss_align` of a batch."""
        batch = self._hidden(batch)
        told = self._told(batch) if self.told_share else None
        return self.losses(self.generator.encode(batch["images"], batch["texts"], told), batch)

    def losses(self, encoded: Encoded, batch: Batch) -> dict[str, Tensor]:
        """The same, of a batch whose contexts have been encoded already."""
        nll = text_loss(self.generator.caption_nll(encoded.prefix, batch), batch["target_mask"])
        return self._named(nll, *embedding_losses(*self._with_others(encoded, batch), self.loss))

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
            parts = embedding_losses(encoded.predicted, batch, self.loss)
            for total, part in zip((img, align), parts, strict=True):
                total += size * part.double().cpu()
        figures = self._named(nats / tokens, img / windows, align / windows)
        return {name: float(value) for name, value in figures.items()}

    def _hidden(self, batch: Batch) -> Batch:
        """The batch without what `fusion.hide_share` hides of its contexts."""
        if self.train is None or not self.hide_share:
            return batch
        windows, k = batch["images"].shape[:2]
        return self.train.hide(batch, *draw_hidden(windows, k, self.hide_share))

    def _told(self, batch: Batch) -> Told:
        image, text = (blurred(batch[f"target_{name}"]) for name in ("image", "text"))
        # Drawn on the CPU, by the generator whose state a checkpoint keeps.
        where = torch.rand(len(image)).to(image.device) < self.told_share
        return Told(image, text, where)

    def _with_others(
        self, encoded: Encoded, batch: Batch
    ) -> tuple[tuple[Tensor, Tensor], Mapping[str, Tensor]]:
        """What is predicted of the batch's windows and of others, and all their features."""
        missing = self.embedding_windows - len(batch["rows"])
        wanted = self.loss.alpha or self.loss.lambda_
        if self.train is None or missing <= 0 or not wanted:
            return encoded.predicted, batch
        others = self._hidden(self.train.features(torch.randperm(len(self.train))[:missing]))
        image, text = self.generator.predict(others["images"], others["texts"])
        names = ("target_image", "target_image_id", "target_text", "target_text_id")
        targets = {name: torch.cat([batch[name], others[name]]) for name in names}
        own_image, own_text = encoded.predicted
        return (torch.cat([own_image, image]), torch.cat([own_text, text])), targets

    def _named(self, nll: Tensor, img: Tensor, align: Tensor) -> dict[str, Tensor]:
        loss = nll
        for weight, term in ((self.loss.alpha, img), (self.loss.lambda_, align)):
            if weight:
                loss = loss + weight * term
        return {"loss": loss, "nll": nll, "loss_img": img, "loss_align": align}


def blurred(embeddings: Float[Tensor, "b dim"]) -> Float[Tensor, "b dim"]:
    """Unit vectors with Gaussian noise of length `BLUR` on them, unit norm again."""
    noise = torch.randn(embeddings.shape).to(embeddings) / embeddings.shape[1] ** 0.5
    return F.normalize(embeddings + BLUR * noise, dim=-1)
