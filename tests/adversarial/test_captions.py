"""Where rewarded captions come from: several stories at a time, and true ones among them."""

from pathlib import Path

import pytest
import torch

from pipeline.adversarial.captions import Captions, Truth
from tests.adversarial.adversary import CACHED, PER_STORY, gan, make_objective
from tests.world import Toy

WRITTEN = Captions(
    windows=torch.tensor([10, 20]),
    ids=torch.tensor([[1, 2, 3], [4, 0, 0], [5, 6, 0], [7, 8, 0]]),
    mask=torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 0]]).bool(),
    logprobs=-torch.tensor([[0.1, 0.2, 0.3], [0.4, 0, 0], [0.5, 0.6, 0], [0.7, 0.8, 0]]),
    embeddings=torch.arange(8.0).view(2, 2, 2),
)


def test_stories_in_the_order_asked_for() -> None:
    both = WRITTEN.stories(torch.tensor([1, 0]))
    assert both.windows.tolist() == [20, 10]
    assert both.ids.tolist() == [[5, 6, 0], [7, 8, 0], [1, 2, 3], [4, 0, 0]]
    assert both.embeddings.flatten().tolist() == [4, 5, 6, 7, 0, 1, 2, 3]
    one = WRITTEN.stories(torch.tensor([1]))
    assert one.ids.tolist() == [[5, 6], [7, 8]], "without the padding that others need"
    assert torch.equal(one.logprobs, -torch.tensor([[0.5, 0.6], [0.7, 0.8]]))


def test_the_best_of_each_story() -> None:
    best = WRITTEN.best(torch.tensor([[-1.0, 2.0], [0.5, 0.1]]))
    assert best.windows.tolist() == [10, 20]
    assert best.ids.tolist() == [[4, 0], [5, 6]]
    assert best.mask.tolist() == [[True, False], [True, True]]
    assert best.embeddings.tolist() == [[[2, 3]], [[4, 5]]]


def test_captions_stand_beside_others_of_their_story() -> None:
    others = Captions(
        WRITTEN.windows,
        torch.tensor([[9, 9, 9, 9], [8, 0, 0, 0]]),
        torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0]]).bool(),
        torch.full((2, 4), -1.0),
        torch.tensor([[[8.0, 8.0]], [[9.0, 9.0]]]),
    )
    joined = WRITTEN.beside(others)
    assert joined.ids.tolist() == [
        *([1, 2, 3, 0], [4, 0, 0, 0], [9, 9, 9, 9]),
        *([5, 6, 0, 0], [7, 8, 0, 0], [8, 0, 0, 0]),
    ]
    assert joined.mask.sum(dim=1).tolist() == [3, 1, 4, 2, 2, 1]
    assert joined.logprobs[:, 0].tolist() == pytest.approx([-0.1, -0.4, -1, -0.5, -0.7, -1])
    assert joined.embeddings[:, :, 0].tolist() == [[0, 2, 8], [4, 6, 9]]
    assert torch.equal(joined.stories(torch.tensor([0])).ids, joined.ids[:3])


def own_logprobs(toy: Toy, windows: list[int]) -> list[torch.Tensor]:
    """What the generator, in eval mode, thinks of the true captions, one window at a time."""
    toy.generator.eval()
    said = []
    for window in windows:
        batch = toy.train.batch(torch.tensor([window]).numpy())
        with torch.no_grad():
            prefix = toy.generator.encode(batch["images"], batch["texts"]).prefix
            said.append(-toy.generator.caption_nll(prefix, batch)[0])
    return said


def test_true_captions_have_the_log_probabilities_of_the_generator(toy: Toy) -> None:
    toy.generator.train()
    windows = torch.tensor([3, 50, 8, 21, 8])
    captions = Truth(toy.generator, toy.train, 2).captions(windows)
    assert toy.generator.training, "it is left as it was"
    assert captions.embeddings.shape == (5, 1, 24)
    assert torch.equal(captions.embeddings[:, 0], toy.train.targets(windows)[1])
    for row, own in enumerate(own_logprobs(toy, windows.tolist())):
        assert torch.allclose(captions.logprobs[row][captions.mask[row]], own, atol=1e-4)
        assert captions.logprobs[row][~captions.mask[row]].abs().sum() == 0


def test_true_captions_stand_last_and_are_no_fakes(toy: Toy, tiny_clip: Path) -> None:
    without = make_objective(toy, tiny_clip, gan()).source
    source = make_objective(toy, tiny_clip, gan(true_captions=True)).source
    assert torch.equal(source.cached.embeddings[:, :PER_STORY], without.cached.embeddings)
    windows = source.cached.windows
    assert torch.equal(source.cached.embeddings[:, PER_STORY], toy.train.targets(windows)[1])
    torch.manual_seed(1)
    fakes = source.pairs({}, 0)
    torch.manual_seed(1)
    assert all(map(torch.equal, fakes, without.pairs({}, 0)))


def test_true_captions_beside_those_of_the_loop(toy: Toy, tiny_clip: Path) -> None:
    source = make_objective(toy, tiny_clip, gan(variant="naive", true_captions=True)).source
    batch = toy.train.batch(torch.arange(0, 28, 7).numpy())
    captions = source.captions(batch, 0)
    assert captions.embeddings.shape[:2] == (4, PER_STORY + 1)
    assert torch.equal(captions.embeddings[:, PER_STORY], batch["target_text"])
    assert source.pairs(batch, 0)[1].shape[0] == 4 * PER_STORY


def test_renewed_samples_renew_what_is_thought_of_the_true_ones(toy: Toy, tiny_clip: Path) -> None:
    cache = {"subset_stories": 4, "samples_per_story": 3, "refresh_epochs": 1}
    source = make_objective(toy, tiny_clip, gan(true_captions=True, cache=cache)).source
    before = source.cached.logprobs.view(4, 4, -1)[:, 3]
    with torch.no_grad():
        for parameter in toy.generator.trainable().values():
            parameter.mul_(1.1)
    source.between_epochs(0)
    mask = source.cached.mask.view(4, 4, -1)[:, 3]
    after = source.cached.logprobs.view(4, 4, -1)[:, 3]
    assert not torch.allclose(after[:, :3], before[:, :3], atol=1e-2)
    for row, own in enumerate(own_logprobs(toy, list(CACHED))):
        assert torch.allclose(after[row][mask[row]], own, atol=1e-4)


def test_several_stories_at_a_time_are_different_ones(toy: Toy, tiny_clip: Path) -> None:
    source = make_objective(toy, tiny_clip, gan(text_stories=3)).source
    torch.manual_seed(0)
    drawn = [source.captions({}, step) for step in range(40)]
    assert {len(set(captions.windows.tolist())) for captions in drawn} == {3}
    assert {window for captions in drawn for window in captions.windows.tolist()} == set(CACHED)
    place = {window: i for i, window in enumerate(CACHED)}
    for captions in drawn:
        numbers = torch.tensor([place[window] for window in captions.windows.tolist()])
        assert torch.equal(captions.embeddings, source.cached.embeddings[numbers])


def test_one_story_is_drawn_as_it_always_was(toy: Toy, tiny_clip: Path) -> None:
    source = make_objective(toy, tiny_clip, gan()).source
    torch.manual_seed(4)
    expected = [CACHED[int(torch.randint(4, (1,)))] for _ in range(20)]
    torch.manual_seed(4)
    assert [int(source.captions({}, step).windows) for step in range(20)] == expected
