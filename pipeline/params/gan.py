"""`gan`: the adversarial stage, its discriminator and its captions."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.params.group import Count, CountOrZero, Group, Positive, Weight


class DiscriminatorParams(Group):
    """`gan.discriminator`: an MLP on (image embedding, text embedding) pairs."""

    widths: Annotated[list[Count], Field(min_length=1)] = Field(default=[256])
    """Widths of the hidden layers; the last one gives the features of feature matching."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Dropout probability after each hidden layer; from 0, below 1."""
    spectral_norm: bool = True
    """Whether every layer's largest singular value is held at 1 (Miyato et al., 2018)."""
    products: bool = True
    """Whether it reads the two embeddings' products, too: the terms of their cosine."""
    lr: Positive = 0.001
    """Learning rate of its AdamW. Above 0."""
    max_grad_norm: Positive = 1.0
    """Norm to which its gradients are clipped. Above 0."""
    batch_pairs: Count = 64
    """Pairs of each kind (real, fake) that an update on cached captions sees. 1 or more."""


class CacheParams(Group):
    """`gan.cache`: captions that the baseline writes beforehand, for `cached` and `hardneg`."""

    subset_stories: Count = 120
    """Training stories, drawn by the seed, that get captions; all if there are fewer."""
    samples_per_story: Count = 4
    """Captions sampled for each of them, and by `naive` for each story of a batch. 1 or more; 2 or
    more where `signal` compares those of a story, as `text` and `both` do."""
    refresh_epochs: CountOrZero = 0
    """Sample all of them anew every so many epochs; 0 never does."""
    feature_matching: Weight = 0.0
    """`cached`: weight of the feature matching loss beside the adversarial one. 0 or more; 0 is
    off."""


class HardNegativeParams(Group):
    """`gan.hardneg`: what the variant `hardneg` adds to `cached`."""

    mining: Literal["shuffled", "nearest"] = "nearest"
    """Whose caption stands beside an image: any other story's, or the nearest in CLIP's space."""
    feature_matching: Weight = 0.1
    """Weight of the feature matching loss beside the adversarial one. 0 or more; 0 is off."""


class GanParams(Group):
    """`gan`: the adversarial stage."""

    variant: Literal["none", "naive", "cached", "hardneg"] = "none"
    """Where the discriminator's fakes come from; `none` leaves the baseline as it is."""
    signal: Literal["embedding", "text", "both", "none"] = "both"
    """What of the generator the discriminator moves: predicted embedding, written words, both, or
    nothing, as published (its score of decoded text has no gradient); a control."""
    reward: Literal["discriminator", "clip", "mixed"] = "discriminator"
    """What a whole caption earns: the discriminator's score; how surely CLIP tells its own target
    image from the others of the step by it; or a mixture of the two."""
    reward_share: Annotated[float, Field(ge=0, le=1)] = 0.06
    """`mixed`: the discriminator's share of the reward, CLIP having the rest. From 0 to 1."""
    text_loss: Literal["policy", "preference", "best"] = "policy"
    """How the rewards of whole captions reach the decoder: by policy gradient; by a loss that
    prefers the best of a story's cached captions to the rest; or by the likelihood of the best."""
    true_captions: bool = False
    """Whether a story's true caption stands among the captions that are rewarded."""
    beta_embedding: Weight = 0.02
    """Weight of the adversarial loss of the predicted embedding. 0 or more; 0 leaves it out."""
    beta_text: Weight = 0.2
    """Weight of the adversarial loss of the written words. 0 or more; 0 leaves it out."""
    text_every_steps: Count = 2
    """Cached captions move the decoder in every so-many-th step. 1 or more."""
    text_stories: Count = 1
    """Stories whose cached captions do so at a time; up to `cache.subset_stories`."""
    policy_clip: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """`policy` on cached captions: how far from 1 a token's probability ratio counts (PPO)."""
    preference_beta: Positive = 0.2
    """`preference`: inverse temperature of the log-probability ratios (DPO's beta). Above 0."""
    epochs: Count = 6
    """Passes over the first windows of the training stories. 1 or more."""
    lr: Positive = 0.0005
    """Peak learning rate of the generator's AdamW. Above 0."""
    warmup_steps: CountOrZero = 10
    """Steps over which that learning rate rises to its peak. 0 or more."""
    d_every_steps: Count = 1
    """The discriminator is updated in every so-many-th step of the generator. 1 or more."""
    d_steps: Count = 4
    """Updates of the discriminator each time. 1 or more."""
    stop_if_nll_rises_by: Positive = 0.05
    """Nats a token by which the validation likelihood may worsen; beyond, training ends and the
    last epoch's model within this bound is kept. Above 0."""
    discriminator: DiscriminatorParams = DiscriminatorParams()
    cache: CacheParams = CacheParams()
    hardneg: HardNegativeParams = HardNegativeParams()

    @property
    def reads_cache(self) -> bool:
        """Whether the variant trains on captions of the `captions` stage."""
        return self.variant in ("cached", "hardneg")

    @property
    def feature_matching(self) -> float:
        """Weight of the variant's feature matching loss."""
        weights = {"cached": self.cache.feature_matching, "hardneg": self.hardneg.feature_matching}
        return weights.get(self.variant, 0.0)

    @property
    def has_discriminator(self) -> bool:
        """Whether anything looks at a discriminator's scores, so that one is trained."""
        return not (self.reward == "clip" and self.signal == "text")

    @model_validator(mode="after")
    def _captions_can_be_compared(self) -> Self:
        candidates = self.cache.samples_per_story + self.true_captions
        if self.variant != "none" and self.signal in ("text", "both") and candidates == 1:
            raise ValueError(
                f"gan.cache.samples_per_story is 1, but gan.signal {self.signal} compares the "
                "captions of a story: sample 2 or more, or take gan.signal embedding or none"
            )
        return self

    @model_validator(mode="after")
    def _preference_has_a_reference(self) -> Self:
        if self.variant == "naive" and self.text_loss == "preference":
            raise ValueError(
                "gan.text_loss is preference, but gan.variant naive keeps no captions to prefer "
                "among: take gan.variant cached or hardneg, or gan.text_loss policy"
            )
        return self

    @model_validator(mode="after")
    def _stories_to_compare(self) -> Self:
        if not self.reads_cache:
            return self
        if self.text_stories > self.cache.subset_stories:
            raise ValueError(
                f"gan.text_stories is {self.text_stories}, but only gan.cache.subset_stories "
                f"{self.cache.subset_stories} have cached captions: lower the one or raise the "
                "other"
            )
        if self.reward != "discriminator" and self.text_stories == 1:
            raise ValueError(
                f"gan.reward is {self.reward}, which compares the target images of a step, but "
                "gan.text_stories is 1: take 2 or more, or gan.reward discriminator"
            )
        return self
