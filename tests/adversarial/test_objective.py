"""The adversarial objective: whom its gradient reaches, what it achieves, when it stops."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.adversarial.discriminator import PairScores
from pipeline.adversarial.objective import AdversarialObjective
from pipeline.params import TrainParams
from pipeline.training.checkpoint import Checkpoints
from pipeline.training.curves import Curves
from pipeline.training.supervised import SupervisedObjective
from pipeline.training.trainer import Outcome, Trainer
from tests.adversarial.adversary import LOSS, gan, make_objective, sampler
from tests.world import Toy

VARIANTS = ["naive", "cached", "hardneg"]


def a_batch(toy: Toy, size: int = 6) -> dict[str, torch.Tensor]:
    return toy.train.batch(torch.arange(0, 7 * size, 7).numpy())


def train(toy: Toy, objective: Any, folder: Path, **changes: Any) -> Outcome:
    values = {"epochs": 1, "batch_size": 8, "lr": 2e-3, "weight_decay": 0.0, "warmup_steps": 0}
    params = TrainParams(**values | {"patience_epochs": 20} | changes)
    with Curves(folder / "live") as curves:
        checkpoints = Checkpoints(folder / "state")
        trainer = Trainer(objective, toy.train, toy.val, params, 3, checkpoints, curves)
        return trainer.run(warm_start=isinstance(objective, AdversarialObjective))


def moved(toy: Toy) -> set[str]:
    """The parameters that have a gradient, all of it finite."""
    grads = {name: p.grad for name, p in toy.generator.trainable().items() if p.grad is not None}
    assert all(grad.isfinite().all() for grad in grads.values())
    return {name for name, grad in grads.items() if grad.any()}


def reached_by(toy: Toy, signal: str) -> set[str]:
    """The parameters that a signal is to move."""
    parts = {
        "embedding": ("fusion.", "image_head."),
        "text": ("fusion.", "decoder."),
        "both": ("fusion.", "image_head.", "decoder."),
        "none": (),
    }[signal]
    return {name for name in toy.generator.trainable() if name.startswith(parts)}


@pytest.mark.parametrize("toy", ["frozen", "full"], indirect=True)
@pytest.mark.parametrize("signal", ["embedding", "text", "both", "none"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_adversarial_term_alone_reaches_what_it_should(
    toy: Toy, tiny_clip: Path, variant: str, signal: str
) -> None:
    objective = make_objective(toy, tiny_clip, gan(variant=variant, signal=signal))
    toy.generator.train()
    term = objective(a_batch(toy))["adversarial"]
    assert term.isfinite() and term != 0
    if signal == "none":
        assert not term.requires_grad, "as published: a number, and no gradient"
    else:
        term.backward()
    assert moved(toy) == reached_by(toy, signal)


@pytest.mark.parametrize("variant", ["cached", "hardneg"])
def test_the_preference_loss_reaches_the_decoder(toy: Toy, tiny_clip: Path, variant: str) -> None:
    params = gan(variant=variant, signal="text", text_loss="preference")
    make_objective(toy, tiny_clip, params)(a_batch(toy))["adversarial"].backward()
    assert moved(toy) == reached_by(toy, "text")


@pytest.mark.parametrize("text_loss", ["policy", "preference", "best"])
@pytest.mark.parametrize("reward", ["clip", "mixed"])
def test_every_reward_reaches_the_decoder_by_every_loss(
    toy: Toy, tiny_clip: Path, reward: str, text_loss: str
) -> None:
    params = gan(
        signal="text", reward=reward, text_loss=text_loss, text_stories=4, true_captions=True
    )
    make_objective(toy, tiny_clip, params)(a_batch(toy))["adversarial"].backward()
    assert moved(toy) == reached_by(toy, "text")


def test_clip_alone_needs_no_discriminator(toy: Toy, tiny_clip: Path) -> None:
    objective = make_objective(toy, tiny_clip, gan(signal="text", reward="clip", text_stories=4))
    assert objective.discriminator is None
    losses = objective(a_batch(toy))
    assert losses["adversarial"] != 0 and "d_loss" not in losses
    toy.generator.eval()
    figures = objective.validate(toy.val.batches(8))
    assert "words" in figures and "d_real" not in figures


def test_the_likelihood_of_the_best_is_the_supervised_loss_on_it(toy: Toy, tiny_clip: Path) -> None:
    """Whether true captions or the first samples earn most."""
    params = gan(signal="text", text_loss="best", text_stories=4, true_captions=True)
    objective = make_objective(toy, tiny_clip, params)
    objective.reward = lambda batch, texts: torch.arange(4.0).expand(4, 4)
    toy.generator.eval()
    term = objective(a_batch(toy))["adversarial"]
    batch = toy.train.batch(objective.source.cached.windows.numpy())
    nll = SupervisedObjective(toy.generator, LOSS)(batch)["nll"]
    assert term.item() == pytest.approx(params.beta_text * nll.item(), rel=1e-5)
    objective.reward = lambda batch, texts: -torch.arange(4.0).expand(4, 4)
    term = objective(a_batch(toy))["adversarial"]
    sampled, mask = (
        x[::4] for x in (objective.source.cached.logprobs, objective.source.cached.mask)
    )
    nats = -sampled.sum() / mask.sum()  # as they were sampled, since no step has been made
    assert term.item() == pytest.approx(params.beta_text * nats.item(), rel=1e-5)
    assert abs(nats - nll) > 1e-3, "the two cannot be mistaken for each other"


@pytest.mark.parametrize("signal", ["embedding", "none"])
@pytest.mark.parametrize(("variant", "group"), [("hardneg", "hardneg"), ("cached", "cache")])
def test_feature_matching_is_a_part_of_the_adversarial_term(
    toy: Toy, tiny_clip: Path, variant: str, group: str, signal: str
) -> None:
    """Weighted up, it is the difference between two terms for one discriminator."""
    terms = []
    for weight in (0.0, 1000.0):
        params = gan(
            variant=variant,
            signal=signal,
            d_every_steps=99,
            **{group: {"feature_matching": weight}},
        )
        objective = make_objective(toy, tiny_clip, params)
        objective.step = 1
        terms.append(objective(a_batch(toy))["adversarial"].item())
    assert terms[1] > terms[0] + 1e-3


def test_weights_of_nought_leave_the_likelihood_alone(toy: Toy, tiny_clip: Path) -> None:
    objective = make_objective(toy, tiny_clip, gan(beta_embedding=0.0, beta_text=0.0))
    toy.generator.eval()
    losses = objective(a_batch(toy))
    assert losses["adversarial"] == 0
    assert torch.equal(
        losses["loss"], SupervisedObjective(toy.generator, LOSS)(a_batch(toy))["loss"]
    )


def test_the_discriminator_takes_its_turns(toy: Toy, tiny_clip: Path) -> None:
    objective = make_objective(toy, tiny_clip, gan(d_every_steps=3, d_steps=2))
    weight = objective.discriminator.score.weight
    changed = []
    for _ in range(7):
        before = weight.detach().clone()
        objective(a_batch(toy))
        changed.append(not torch.equal(before, weight))
    assert changed == [True, False, False, True, False, False, True]
    assert int(objective.state()["optimiser/step/score.weight"]) == 6


def test_the_generators_loss_leaves_the_discriminator_alone(toy: Toy, tiny_clip: Path) -> None:
    objective = make_objective(toy, tiny_clip, gan())
    losses = objective(a_batch(toy))
    own = [p.grad.clone() for p in objective.discriminator.parameters()]  # of its own update
    assert any(grad.abs().sum() > 0 for grad in own)
    losses["loss"].backward()
    assert all(map(torch.equal, own, [p.grad for p in objective.discriminator.parameters()]))


def test_naive_writes_anew_in_every_step_and_for_each_of_the_two(toy: Toy, tiny_clip: Path) -> None:
    source = make_objective(toy, tiny_clip, gan(variant="naive")).source
    batch = a_batch(toy)
    rows, embeddings = source.pairs(batch, 0)
    assert rows.tolist() == [row for row in batch["rows"].tolist() for _ in range(3)]
    assert torch.equal(source.pairs(batch, 0)[1], embeddings)
    own = source.captions(batch, 0)
    assert own.windows.tolist() == batch["rows"].tolist()
    assert not torch.equal(own.embeddings.flatten(0, 1), embeddings)
    assert not torch.equal(source.pairs(batch, 1)[1], embeddings)
    assert not torch.equal(source.captions(batch, 1).embeddings, own.embeddings)
    assert torch.equal(source.captions(batch, 0).embeddings, own.embeddings)


def test_stored_log_probabilities_are_those_of_the_training_pass(toy: Toy, tiny_clip: Path) -> None:
    """Before any step the probability ratio is 1: decoding and training see the same model."""
    toy.generator.eval()
    captions = make_objective(toy, tiny_clip, gan()).source.cached
    batch = toy.train.batch(captions.windows.repeat_interleave(3).numpy())
    with torch.no_grad():
        prefix = toy.generator.encode(batch["images"], batch["texts"]).prefix
        written = {"target_ids": captions.ids, "target_mask": captions.mask}
        nll = toy.generator.caption_nll(prefix, batch | written)
    assert torch.allclose(-nll, captions.logprobs, atol=1e-4)


def test_a_refresh_writes_the_captions_of_the_present_generator(toy: Toy, tiny_clip: Path) -> None:
    cache = {"subset_stories": 4, "samples_per_story": 3, "refresh_epochs": 2}
    objective = make_objective(toy, tiny_clip, gan(cache=cache))
    before = objective.source.cached
    objective.between_epochs(0)
    assert objective.source.cached is before
    objective.between_epochs(1)
    after = objective.source.cached
    assert after.embeddings.shape == before.embeddings.shape
    assert not torch.equal(after.embeddings, before.embeddings)

    other = make_objective(toy, tiny_clip, gan(cache=cache))
    other.load_state(objective.state())
    assert torch.equal(other.source.cached.ids, after.ids)
    assert torch.equal(other.source.cached.logprobs, after.logprobs)


REFRESHED = {"subset_stories": 4, "samples_per_story": 3, "refresh_epochs": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"reward": "mixed", "text_stories": 3, "true_captions": True, "cache": REFRESHED},
        {"reward": "clip", "signal": "text", "text_stories": 3, "text_loss": "best"},
    ],
)
def test_a_state_put_back_goes_on_the_same_way(
    toy: Toy, tiny_clip: Path, changes: dict[str, Any]
) -> None:
    first = make_objective(toy, tiny_clip, gan(**changes))
    for _ in range(3):
        first(a_batch(toy))
    first.between_epochs(0)
    state = {name: tensor.clone() for name, tensor in first.state().items()}
    second = make_objective(toy, tiny_clip, gan(**changes))
    second.load_state(state)
    results = []
    for objective in (first, second):
        torch.manual_seed(11)
        results.append([objective(a_batch(toy))["loss"].item() for _ in range(2)])
    assert results[0] == results[1]
    assert second.step == 5


class LikesOneSide(nn.Module):
    """A discriminator that is right by construction: it likes what lies beyond a threshold along
    one direction of CLIP's text space, and never learns."""

    def __init__(self, direction: torch.Tensor, threshold: float):
        super().__init__()
        self.direction = nn.Parameter(direction, requires_grad=False)
        self.threshold = threshold

    def forward(self, images: torch.Tensor, texts: torch.Tensor) -> PairScores:
        score = texts @ self.direction - self.threshold
        return PairScores(score, score[:, None])

    def requires_grad_(self, requires_grad: bool = True) -> "LikesOneSide":
        return self


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "text_loss", "refresh_epochs"),
    [
        ("naive", "policy", 0),
        ("cached", "policy", 1),  # the clip lets captions of one generator move it so far only
        ("cached", "preference", 0),
        ("cached", "best", 1),
    ],
)
def test_training_on_text_raises_the_share_of_captions_that_are_liked(
    toy: Toy, tiny_clip: Path, tmp_path: Path, variant: str, text_loss: str, refresh_epochs: int
) -> None:
    train(toy, SupervisedObjective(toy.generator, LOSS), tmp_path / "base", epochs=8, lr=5e-3)
    writer = sampler(toy, tiny_clip)
    contexts = toy.train.contexts(range(0, len(toy.train), 3))

    def sampled() -> torch.Tensor:
        samples = writer.sample(contexts, list(range(len(contexts))))
        return torch.from_numpy(samples.embedding.astype("float32"))

    before = sampled()
    direction = torch.linalg.svd(before - before.mean(dim=0))[2][0]  # along which captions differ
    liking = LikesOneSide(direction, float((before @ direction).median()))

    def liked(texts: torch.Tensor) -> float:
        return float((liking(texts, texts).score > 0).float().mean())

    params = gan(
        variant=variant,
        signal="text",
        text_loss=text_loss,
        beta_text=3.0,
        d_every_steps=10**6,
        stop_if_nll_rises_by=100.0,
        cache={"subset_stories": 60, "samples_per_story": 3, "refresh_epochs": refresh_epochs},
    )
    objective = make_objective(toy, tiny_clip, params, liking, range(0, len(toy.train), 2))
    objective.step = 1  # past its only turn
    train(toy, objective, tmp_path / variant, epochs=8, lr=4e-3)
    assert liked(before) <= 0.5
    assert liked(sampled()) > liked(before) + 0.2


def test_the_tripwire_ends_the_run_and_gives_back_the_last_good_model(
    toy: Toy, tiny_clip: Path, tmp_path: Path
) -> None:
    train(toy, SupervisedObjective(toy.generator, LOSS), tmp_path / "base", epochs=3, lr=5e-3)
    start = {name: p.clone() for name, p in toy.generator.trainable().items()}
    objective = make_objective(
        toy, tiny_clip, gan(beta_text=50.0, variant="naive", stop_if_nll_rises_by=1e-6)
    )
    outcome = train(toy, objective, tmp_path / "gan", epochs=5, lr=2e-2)
    assert outcome.best_epoch == -1 and outcome.steps == 15, "ended after the first of 5 epochs"
    for name, parameter in toy.generator.trainable().items():
        assert torch.equal(parameter, start[name]), name


def test_every_epoch_within_the_bound_is_kept(toy: Toy, tiny_clip: Path, tmp_path: Path) -> None:
    objective = make_objective(toy, tiny_clip, gan(stop_if_nll_rises_by=100.0))
    outcome = train(toy, objective, tmp_path, epochs=2)
    assert outcome.best_epoch == 1
    logged = {path.stem for path in (tmp_path / "live").rglob("val/*.tsv")}
    tripwires = {"words", "distinct_2", "finished", "d_real", "d_generated", "d_shuffled"}
    assert tripwires | {"nll"} <= logged
    steps = (tmp_path / "live/plots/metrics/val/d_real.tsv").read_text().splitlines()[1:]
    assert [line.split("\t")[0] for line in steps] == ["0", "15", "30"]
