"""What a supervised step does besides the likelihood of its batch."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from pipeline.model.generator import Told
from pipeline.model.losses import embedding_losses
from pipeline.params import LossParams
from pipeline.training.hiding import draw_hidden
from pipeline.training.supervised import BLUR, SupervisedObjective, blurred

LOSS = LossParams(alpha=0.5, lambda_=0.25)


def rows(toy: Any, count: int) -> Any:
    return next(toy.train.batches(count))


def test_the_embedding_losses_see_as_many_windows_as_they_are_told(toy: Any) -> None:
    """With all of them it does not matter which are drawn."""
    toy.generator.eval()
    batch, everything = rows(toy, 4), rows(toy, len(toy.train))
    objective = SupervisedObjective(toy.generator, LOSS, toy.train, len(toy.train) + 4)
    losses = objective(batch)
    features = ("images", "texts", "target_image", "target_text")
    names = [*features, "target_image_id", "target_text_id"]
    twice = {name: torch.cat([batch[name], everything[name]]) for name in names}
    predicted = toy.generator.predict(twice["images"], twice["texts"])
    image, text = embedding_losses(predicted, twice, LOSS)
    assert losses["loss_img"].item() == pytest.approx(image.item(), rel=1e-5)
    assert losses["loss_align"].item() == pytest.approx(text.item(), rel=1e-5)
    alone = SupervisedObjective(toy.generator, LOSS)(batch)
    assert losses["nll"] == alone["nll"]
    assert losses["loss_img"] != alone["loss_img"]


def test_the_others_are_drawn_anew_at_every_step(toy: Any) -> None:
    toy.generator.eval()
    objective = SupervisedObjective(toy.generator, LOSS, toy.train, 6)
    some = {objective(rows(toy, 4))["loss_img"].item() for _ in range(5)}
    assert len(some) > 1


def test_windows_that_are_told_are_captioned_from_the_targets_embeddings(toy: Any) -> None:
    toy.generator.eval()
    batch = rows(toy, 4)
    torch.manual_seed(0)
    nll = SupervisedObjective(toy.generator, LOSS, told_share=1.0)(batch)["nll"]
    torch.manual_seed(0)
    image, text = blurred(batch["target_image"]), blurred(batch["target_text"])
    told = Told(image, text, torch.ones(4, dtype=torch.bool))
    prefix = toy.generator.encode(batch["images"], batch["texts"], told).prefix
    expected = toy.generator.caption_nll(prefix, batch).sum() / batch["target_mask"].sum()
    assert nll.item() == pytest.approx(expected.item(), rel=1e-6)
    untold = SupervisedObjective(toy.generator, LOSS)(batch)["nll"]
    assert abs(nll - untold) > 1e-4


def test_only_the_told_windows_are_told(toy: Any) -> None:
    toy.generator.eval()
    batch = rows(toy, 4)
    own = toy.generator.encode(batch["images"], batch["texts"])
    where = torch.tensor([True, False, False, True])
    told = Told(batch["target_image"], batch["target_text"], where)
    mixed = toy.generator.encode(batch["images"], batch["texts"], told)
    same = (own.prefix == mixed.prefix).flatten(1).all(dim=1)
    assert same.tolist() == [False, True, True, False]
    assert torch.equal(own.image_pred, mixed.image_pred)


def test_words_do_not_move_the_heads(toy: Any) -> None:
    """They predict CLIP's embeddings, and are not bent to what suits the decoder."""
    generator = toy.generator
    batch = rows(toy, 4)
    prefix = generator.encode(batch["images"], batch["texts"]).prefix
    generator.caption_nll(prefix, batch).sum().backward()
    moved = {n for n, p in generator.trainable().items() if p.grad is not None}
    assert any(name.startswith("fusion.") for name in moved)
    assert not any(name.startswith(("image_head.", "text_head.")) for name in moved)


def test_a_blurred_vector_has_the_cosine_that_its_noise_leaves() -> None:
    vectors = F.normalize(torch.randn(500, 64), dim=-1)
    out = blurred(vectors)
    assert torch.allclose(out.norm(dim=-1), torch.ones(500), atol=1e-5)
    cosine = (out * vectors).sum(dim=-1).mean().item()
    assert cosine == pytest.approx((1 + BLUR**2) ** -0.5, abs=0.02)


def test_half_of_the_windows_lack_captions_images_or_a_beginning() -> None:
    torch.manual_seed(0)
    images, texts = draw_hidden(4000, 4, 0.5)
    touched = (images | texts).any(dim=1)
    assert touched.float().mean().item() == pytest.approx(0.44, abs=0.03)  # at times nothing falls
    assert not (images & texts)[:, -1].any(), "the last frame keeps one of them"
    opening = (images & texts).any(dim=1)
    assert torch.equal(images[opening], texts[opening])
    assert (images[opening].int().diff(dim=1) <= 0).all(), "frames from the first on"
    assert texts.all(dim=1).float().mean().item() == pytest.approx(0.5 / 6, abs=0.02)
    assert images.all(dim=1).float().mean().item() == pytest.approx(0.5 / 6, abs=0.02)
    assert not any(hidden.any() for hidden in draw_hidden(100, 4, 0.0))


def test_a_step_on_hidden_frames_is_one_on_frames_that_lack_them(toy: Any) -> None:
    """What is hidden of a batch is what `predict` makes of frames that lack it."""
    toy.generator.eval()
    batch = rows(toy, 4)
    images = torch.tensor([[True, False]] * 4)
    texts = torch.tensor([[False, True], [True, True], [False, False], [True, False]])
    hidden = toy.train.hide(batch, images, texts)
    windows = toy.train.windows.select(batch["rows"].numpy())
    for row, captions in enumerate(windows.contexts().captions):
        shown = ["" if gone else text for text, gone in zip(captions, texts[row], strict=True)]
        ids = hidden["prompt_ids"][row][hidden["prompt_mask"][row]].tolist()
        assert ids == toy.train.prompts.prompt_ids(shown)
    assert torch.equal(hidden["images"] == 0, images[..., None].expand_as(hidden["images"]))
    assert torch.equal(hidden["texts"] == 0, texts[..., None].expand_as(hidden["texts"]))
    assert torch.equal(hidden["target_ids"], batch["target_ids"])


def test_hiding_needs_no_draw_where_nothing_is_hidden(toy: Any) -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    objective = SupervisedObjective(toy.generator.eval(), LOSS, toy.train)
    nll = objective(rows(toy, 4))["nll"]
    assert torch.equal(torch.get_rng_state(), state)
    objective.hide_share = 0.9
    assert objective(rows(toy, 4))["nll"] != nll
