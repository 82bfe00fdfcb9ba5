"""The multitask baseline: L = L_txt + alpha L_img + lambda L_align."""

from collections.abc import Iterable, Mapping
from itertools import islice

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
from pipeline.training.processes import ALONE, Processes

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
        processes: Processes = ALONE,
    ):
        """What is done besides in a training step:

        Args:
            train: what `embedding_windows` draws from.
            embedding_windows: how many windows the embedding losses see, those that the batch lacks
                drawn at random: more negatives and more of the data, without the language model.
            told_share: of the windows, whose prefix is made from the target's embeddings, blurred
                by `BLUR`. The decoder learns to say what is in an embedding while the heads still
                learn to predict it (teacher forcing; with noise as in CapDec, Nukrai et al., 2022).
            processes: those that share every batch.
        """
        self.generator = generator
        self.loss = loss
        self.train = train
        self.embedding_windows = embedding_windows
        self.told_share = told_share if generator.config.decoder.embedding_prefix else 0.0
        self.hide_share = generator.config.fusion.hide_share
        self.processes = processes

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Scalar losses `loss`, `nll`, `loss_img`, `loss_align` of a batch."""
        batch, share = self._hidden(batch), self.processes.share
        told = Told(*map(share, self._told(batch))) if self.told_share else None
        with self.processes.own_masks():
            encoded = self.generator.encode(share(batch["images"]), share(batch["texts"]), told)
        return self.losses(encoded, batch)

    def losses(self, encoded: Encoded, batch: Batch) -> dict[str, Tensor]:
        """The same, of a batch of which this process's share of the contexts is encoded already."""
        own = {name: self.processes.share(rows) for name, rows in batch.items()}
        with self.processes.own_masks():
            nats = self.generator.caption_nll(encoded.prefix, own)
        nll = text_loss(self.processes.gather(nats, len(batch["rows"])), batch["target_mask"])
        return self._named(nll, *embedding_losses(*self._with_others(encoded, batch), self.loss))

    @torch.no_grad()
    def validate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """The same figures over many batches: nll per token, the others per window.

        The contrastive terms compare within a batch, so they depend on its size; all else does
        not depend on how the windows are batched.
        """
        sums = torch.zeros(5, dtype=torch.float64)
        for batch in islice(batches, self.processes.rank, None, self.processes.size):
            encoded = self.generator.encode(batch["images"], batch["texts"])
            nll = self.generator.caption_nll(encoded.prefix, batch)
            size = len(batch["rows"])
            parts = (size * float(x) for x in embedding_losses(encoded.predicted, batch, self.loss))
            words = float(nll.cpu().sum(dtype=torch.float64)), int(batch["target_mask"].sum())
            sums += torch.tensor([*words, size, *parts], dtype=torch.float64)
        nats, tokens, windows, img, align = self.processes.total(sums)
        named = self._named(nats / tokens, img / windows, align / windows)
        return {name: float(value) for name, value in named.items()}

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
        predicted = self._gathered(encoded.predicted, batch)
        missing = self.embedding_windows - len(batch["rows"])
        wanted = self.loss.alpha or self.loss.lambda_
        if self.train is None or missing <= 0 or not wanted:
            return predicted, batch
        others = self._hidden(self.train.features(torch.randperm(len(self.train))[:missing]))
        images, texts = (self.processes.share(others[name]) for name in ("images", "texts"))
        with self.processes.own_masks():
            own = self.generator.predict(images, texts)
        names = ("target_image", "target_image_id", "target_text", "target_text_id")
        targets = {name: torch.cat([batch[name], others[name]]) for name in names}
        image, text = map(torch.cat, zip(predicted, self._gathered(own, others), strict=True))
        return (image, text), targets

    def _gathered(self, own: tuple[Tensor, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """What is predicted of all windows of a batch, of which `own` are this process's share."""
        image, text = (self.processes.gather(rows, len(batch["rows"])) for rows in own)
        return image, text

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
