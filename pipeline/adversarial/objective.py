"""The adversarial objective: the supervised one, and a discriminator that the generator must fool.

Captions are discrete, so no gradient comes back through a decoded string. Two things carry the
discriminator's judgement to the generator's weights (`gan.signal`):

- `embedding`: the predicted image embedding beside the true caption is a fake, and differentiable;
- `text`: its scores of whole sampled captions are rewards, for a policy gradient or a preference
  loss on their tokens' log-probabilities, or to choose the captions whose likelihood is raised.

With `none` the judgement of decoded captions is added to the loss as it is, and moves nothing.
CLIP's own judgement can be the reward, with the discriminator's or in its place (`gan.reward`).
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
from pipeline.adversarial.rewards import Reward
from pipeline.adversarial.tripwires import Tripwires
from pipeline.dataset.loaded import Batch, LoadedDataset
from pipeline.model.generator import Encoded
from pipeline.model.losses import text_loss
from pipeline.params import GanParams
from pipeline.training.objective import Objective, Verdict
from pipeline.training.optimiser import load_optimiser_state, optimiser_state
from pipeline.training.supervised import SupervisedObjective


class AdversarialObjective(Objective):
    """Likelihood and embedding losses of the baseline, plus the discriminator's judgement.

    Names besides the supervised ones: `adversarial` is the weighted sum of the generator's
    adversarial terms, `d_loss` the discriminator's hinge loss at its last update, if there is one.
    """

    label = "adversarial"
    criterion = "nll"

    def __init__(
        self,
        supervised: SupervisedObjective,
        discriminator: Discriminator | None,
        reward: Reward,
        source: CaptionSource,
        train: LoadedDataset,
        tripwires: Tripwires,
        params: GanParams,
    ):
        """`discriminator` may be None where `params.has_discriminator` is false.

        `train` is what batches are cut from; `source` knows its windows by row.
        """
        self.supervised = supervised
        self.generator = supervised.generator
        self.discriminator = discriminator
        self.reward = reward
        self.source = source
        self.train = train
        self.tripwires = tripwires
        self.params = params
        self.negatives = None
        if discriminator is not None:
            if params.variant == "hardneg":
                self.negatives = hard_negatives(params.hardneg.mining, train)
            self.optimiser = torch.optim.AdamW(
                discriminator.parameters(), lr=params.discriminator.lr, betas=(0.5, 0.999)
            )
        self.step = 0
        self.d_loss = torch.zeros((), device=train.image.target.device)

    # --- training

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Update the discriminator if it is its turn, and give the generator's losses."""
        encoded = self.generator.encode(batch["images"], batch["texts"])
        if self.discriminator is not None and self.step % self.params.d_every_steps == 0:
            for _ in range(self.params.d_steps):
                self._update(self.discriminator, batch, encoded.image_pred.detach())
        losses = self.supervised.losses(encoded, batch)
        losses["adversarial"] = self._adversarial(batch, encoded)
        losses["loss"] = losses["loss"] + losses["adversarial"]
        if self.discriminator is not None:
            losses["d_loss"] = self.d_loss
        self.step += 1
        return losses

    def _update(self, discriminator: Discriminator, batch: Batch, image_pred: Tensor) -> None:
        """One step of the discriminator."""
        windows, written = self.source.pairs(batch, self.step)
        images, texts = self.train.targets(windows)
        fakes = [(images, written)]
        if self.params.signal in ("embedding", "both"):
            fakes.append((image_pred, batch["target_text"]))
        if self.negatives is not None:
            fakes.append((images, self.train.targets(self.negatives(windows))[1]))
        discriminator.train().requires_grad_(True)
        loss = hinge_loss(
            discriminator(images, texts).score, [discriminator(*fake).score for fake in fakes]
        )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(
            discriminator.parameters(), self.params.discriminator.max_grad_norm
        )
        self.optimiser.step()
        self.d_loss = loss.detach()

    def _adversarial(self, batch: Batch, encoded: Encoded) -> Tensor:
        """The weighted adversarial terms of the generator, a scalar."""
        discriminator, params = self.discriminator, self.params
        total = encoded.image_pred.new_zeros(())
        if discriminator is not None:
            discriminator.eval().requires_grad_(False)
            if params.signal in ("embedding", "both") and params.beta_embedding:
                term = self._embedding_term(discriminator, batch, encoded.image_pred)
                total = total + params.beta_embedding * term
        if params.signal in ("text", "both") and params.beta_text:
            captions = self.source.captions(batch, self.step)
            if captions is not None:
                total = total + params.beta_text * self._text_term(captions)
        if discriminator is not None and params.signal == "none" and params.beta_text:
            windows, written = self.source.pairs(batch, self.step)
            images, texts = self.train.targets(windows)
            fake = discriminator(images, written)
            judged = self._judgement(discriminator, fake, images, texts)
            total = total + params.beta_text * judged
        return total

    def _embedding_term(
        self, discriminator: Discriminator, batch: Batch, image_pred: Tensor
    ) -> Tensor:
        fake = discriminator(image_pred, batch["target_text"])
        return self._judgement(discriminator, fake, batch["target_image"], batch["target_text"])

    def _judgement(
        self, discriminator: Discriminator, fake: PairScores, images: Tensor, texts: Tensor
    ) -> Tensor:
        """How little fakes pass by their scores and, with feature matching, by their features.

        Args:
            images, texts: of the true pairs that they stand against, [B, D].
        """
        term = -fake.score.mean()
        if self.params.feature_matching:
            real = discriminator(images, texts)
            matching = feature_matching_loss(real.features, fake.features)
            term = term + self.params.feature_matching * matching
        return term

    def _text_term(self, captions: Captions) -> Tensor:
        stories, per_story, _ = captions.embeddings.shape
        batch = self.train.batch(captions.windows.cpu().numpy())
        rewards = self.reward(batch, captions.embeddings)
        if self.params.text_loss == "best":
            # Supervised training on what was chosen (best-of-n distillation); no other is read.
            best = captions.best(rewards)
            return text_loss(-self._logprobs(batch, best), best.mask)
        logprobs = self._logprobs(batch, captions)
        if self.params.text_loss == "preference":
            whole = [x.sum(dim=1).view(stories, per_story) for x in (logprobs, captions.logprobs)]
            return preference_loss(whole[0], whole[1], rewards, self.params.preference_beta)
        old = None if self.source.on_policy else captions.logprobs
        advantage = advantages(rewards).flatten()
        return policy_loss(logprobs, captions.mask, advantage, old, self.params.policy_clip)

    def _logprobs(self, batch: Batch, captions: Captions) -> Tensor:
        """Log-probability of each token of the captions under the generator as it is, [G * S, T].

        `batch` holds their G windows.
        """
        prefix = self.generator.encode(batch["images"], batch["texts"]).prefix
        prefix, prompt_ids, prompt_mask = (
            part.repeat_interleave(captions.embeddings.shape[1], dim=0)
            for part in (prefix, batch["prompt_ids"], batch["prompt_mask"])
        )
        return -self.generator.decoder.token_nll(
            prefix, prompt_ids, prompt_mask, captions.ids, captions.mask
        )

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
        parts = {"source": self.source.state()}
        if self.discriminator is not None:
            parameters = dict(self.discriminator.named_parameters())
            parts["discriminator"] = self.discriminator.state_dict()
            parts["optimiser"] = optimiser_state(self.optimiser, parameters)
        state = {f"{part}/{n}": t for part, tensors in parts.items() for n, t in tensors.items()}
        return state | {"step": torch.tensor(self.step), "d_loss": self.d_loss}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Put back what `state` gave."""

        def part(name: str) -> dict[str, Tensor]:
            mark = f"{name}/"
            return {n.removeprefix(mark): t for n, t in state.items() if n.startswith(mark)}

        if self.discriminator is not None:
            self.discriminator.load_state_dict(part("discriminator"))
            parameters = dict(self.discriminator.named_parameters())
            load_optimiser_state(self.optimiser, parameters, part("optimiser"))
        self.source.load_state(part("source"))
        self.step = int(state["step"])
        self.d_loss = state["d_loss"].to(self.d_loss.device)
