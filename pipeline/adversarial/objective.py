"""The adversarial objective: the supervised one, and a discriminator that the generator must fool.

Captions are discrete, so no gradient comes back through a decoded string. Two things carry the
discriminator's judgement to the generator's weights (`gan.signal`):

- `embedding`: the predicted image embedding beside the true caption is a fake, and differentiable;
- `text`: its scores of whole sampled captions are rewards, for a policy gradient or a preference
  loss on their tokens' log-probabilities.

With `none` the judgement of decoded captions is added to the loss as it is, and moves nothing.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from pipeline.adversarial.captions import Captions, CaptionSource
from pipeline.adversarial.discriminator import Discriminator, PairScores
from pipeline.adversarial.hard_negatives import hard_negatives
from pipeline.adversarial.losses import (
    advantages,
    feature_matching_loss,
    hinge_loss,
    policy_loss,
    preference_loss,
)
from pipeline.adversarial.tripwires import Tripwires
from pipeline.dataset.loaded import Batch, LoadedDataset
from pipeline.model.generator import Encoded
from pipeline.params import GanParams
from pipeline.training.objective import Objective, Verdict
from pipeline.training.optimiser import load_optimiser_state, optimiser_state
from pipeline.training.supervised import SupervisedObjective


class AdversarialObjective(Objective):
    """Likelihood and embedding losses of the baseline, plus the discriminator's judgement.

    Names besides the supervised ones: `adversarial` is the weighted sum of the generator's
    adversarial terms, `d_loss` the discriminator's hinge loss at its last update.
    """

    label = "adversarial"
    criterion = "nll"

    def __init__(
        self,
        supervised: SupervisedObjective,
        discriminator: Discriminator,
        source: CaptionSource,
        train: LoadedDataset,
        tripwires: Tripwires,
        params: GanParams,
    ):
        """`train` is what batches are cut from; `source` knows its windows by row."""
        self.supervised = supervised
        self.generator = supervised.generator
        self.discriminator = discriminator
        self.source = source
        self.train = train
        self.tripwires = tripwires
        self.params = params
        self.negatives = (
            hard_negatives(params.hardneg.mining, train) if params.variant == "hardneg" else None
        )
        self.optimiser = torch.optim.AdamW(
            discriminator.parameters(), lr=params.discriminator.lr, betas=(0.5, 0.999)
        )
        self.step = 0
        self.d_loss = torch.zeros((), device=train.image.target.device)

    # --- training

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Update the discriminator if it is its turn, and give the generator's losses."""
        encoded = self.generator.encode(batch["images"], batch["texts"])
        if self.step % self.params.d_every_steps == 0:
            for _ in range(self.params.d_steps):
                self._update_discriminator(batch, encoded.image_pred.detach())
        losses = self.supervised.losses(encoded, batch)
        losses["adversarial"] = self._adversarial(batch, encoded)
        losses["loss"] = losses["loss"] + losses["adversarial"]
        losses["d_loss"] = self.d_loss
        self.step += 1
        return losses

    def _update_discriminator(self, batch: Batch, image_pred: Tensor) -> None:
        windows, written = self.source.pairs(batch, self.step)
        images, texts = self.train.targets(windows)
        fakes = [(images, written)]
        if self.params.signal in ("embedding", "both"):
            fakes.append((image_pred, batch["target_text"]))
        if self.negatives is not None:
            fakes.append((images, self.train.targets(self.negatives(windows))[1]))
        self.discriminator.train().requires_grad_(True)
        loss = hinge_loss(
            self.discriminator(images, texts).score,
            [self.discriminator(*fake).score for fake in fakes],
        )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(
            self.discriminator.parameters(), self.params.discriminator.max_grad_norm
        )
        self.optimiser.step()
        self.d_loss = loss.detach()

    def _adversarial(self, batch: Batch, encoded: Encoded) -> Tensor:
        """The weighted adversarial terms of the generator, a scalar."""
        self.discriminator.eval().requires_grad_(False)
        params = self.params
        total = encoded.image_pred.new_zeros(())
        if params.signal in ("embedding", "both") and params.beta_embedding:
            total = total + params.beta_embedding * self._embedding_term(batch, encoded.image_pred)
        if params.signal in ("text", "both") and params.beta_text:
            captions = self.source.captions(batch, self.step)
            if captions is not None:
                total = total + params.beta_text * self._text_term(captions)
        if params.signal == "none" and params.beta_text:
            windows, written = self.source.pairs(batch, self.step)
            images, texts = self.train.targets(windows)
            fake = self.discriminator(images, written)
            total = total + params.beta_text * self._judgement(fake, images, texts)
        return total

    def _embedding_term(self, batch: Batch, image_pred: Tensor) -> Tensor:
        fake = self.discriminator(image_pred, batch["target_text"])
        return self._judgement(fake, batch["target_image"], batch["target_text"])

    def _judgement(self, fake: PairScores, images: Tensor, texts: Tensor) -> Tensor:
        """How little fakes pass by their scores and, with feature matching, by their features.

        Args:
            images, texts: of the true pairs that they stand against, [B, D].
        """
        term = -fake.score.mean()
        if self.params.feature_matching:
            real = self.discriminator(images, texts)
            matching = feature_matching_loss(real.features, fake.features)
            term = term + self.params.feature_matching * matching
        return term

    def _text_term(self, captions: Captions) -> Tensor:
        stories, per_story, _ = captions.embeddings.shape
        batch = self.train.batch(captions.windows.cpu().numpy())
        prefix = self.generator.encode(batch["images"], batch["texts"]).prefix
        prefix, prompt_ids, prompt_mask = (
            part.repeat_interleave(per_story, dim=0)
            for part in (prefix, batch["prompt_ids"], batch["prompt_mask"])
        )
        logprobs = -self.generator.decoder.token_nll(
            prefix, prompt_ids, prompt_mask, captions.ids, captions.mask
        )
        images = batch["target_image"].repeat_interleave(per_story, dim=0)
        scores = self.discriminator(images, captions.embeddings.flatten(0, 1)).score
        rewards = scores.detach().view(stories, per_story)
        if self.params.text_loss == "preference":
            whole = [x.sum(dim=1).view(stories, per_story) for x in (logprobs, captions.logprobs)]
            return preference_loss(whole[0], whole[1], rewards, self.params.preference_beta)
        old = None if self.source.on_policy else captions.logprobs
        advantage = advantages(rewards).flatten()
        return policy_loss(logprobs, captions.mask, advantage, old, self.params.policy_clip)

    # --- judging

    def validate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """The supervised figures and the tripwires."""
        return self.supervised.validate(batches) | self.tripwires.figures(self.discriminator)

    def verdict(self, value: float, start: float | None, best: float | None) -> Verdict:
        """Every epoch is kept until the likelihood has worsened by more than is allowed."""
        assert start is not None, "the adversarial stage starts from a trained generator"
        allowed = start + self.params.stop_if_nll_rises_by
        return Verdict.KEEP if value <= allowed else Verdict.STOP

    def between_epochs(self, epoch: int) -> None:
        """Let the source renew its captions."""
        self.source.between_epochs(epoch)

    # --- what is remembered

    def state(self) -> dict[str, Tensor]:
        """Discriminator, its optimiser, where it is, and the source's captions if they changed."""
        parameters = dict(self.discriminator.named_parameters())
        parts = {
            "discriminator": self.discriminator.state_dict(),
            "optimiser": optimiser_state(self.optimiser, parameters),
            "source": self.source.state(),
        }
        state = {f"{part}/{n}": t for part, tensors in parts.items() for n, t in tensors.items()}
        return state | {"step": torch.tensor(self.step), "d_loss": self.d_loss}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Put back what `state` gave."""

        def part(name: str) -> dict[str, Tensor]:
            mark = f"{name}/"
            return {n.removeprefix(mark): t for n, t in state.items() if n.startswith(mark)}

        self.discriminator.load_state_dict(part("discriminator"))
        parameters = dict(self.discriminator.named_parameters())
        load_optimiser_state(self.optimiser, parameters, part("optimiser"))
        self.source.load_state(part("source"))
        self.step = int(state["step"])
        self.d_loss = state["d_loss"].to(self.d_loss.device)
