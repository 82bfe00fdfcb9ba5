"""Batches hold the right frames, captions and tokens; an epoch has every window once."""

from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dataset.loaded import Ragged, epoch_batches
from pipeline.features.store import FeatureStore
from pipeline.stories.frames import read_frames

CPU = torch.device("cpu")


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=12), min_size=1, max_size=20))
@settings(max_examples=60)
def test_ragged(sequences: list[list[int]]) -> None:
    rows = torch.arange(len(sequences)).flip(0)
    ids, mask = Ragged.of(sequences, CPU).pad(rows)
    assert ids.shape[1] == max(map(len, sequences))
    assert [ids[i][mask[i]].tolist() for i in range(len(rows))] == sequences[::-1]
    assert (ids[~mask] == 0).all()


def test_a_batch_by_hand(toy: Any, world: Any, tiny_gpt2: Any) -> None:
    from transformers import AutoTokenizer

    frames = read_frames(world.frames).to_pylist()
    images, texts = FeatureStore.open(world.images), FeatureStore.open(world.texts)
    tokenizer = AutoTokenizer.from_pretrained(tiny_gpt2)
    assert len(toy.train) == 30 * 4 and len(toy.val) == 5
    # the third story's second window: frames 1 and 2, target 3; and the very first window
    batch = toy.train.batch(np.array([2 * 4 + 1, 0]))
    for row, start in ((0, 2 * 6 + 1), (1, 0)):
        window = frames[start : start + 3]
        expected = images.lookup([frame["image_key"] for frame in window])
        assert np.array_equal(batch["images"][row].numpy(), expected[:2])
        assert np.array_equal(batch["target_image"][row].numpy(), expected[2])
        expected = texts.lookup([frame["caption_key"] for frame in window])
        assert np.array_equal(batch["texts"][row].numpy(), expected[:2])
        assert np.array_equal(batch["target_text"][row].numpy(), expected[2])
        prompt = batch["prompt_ids"][row][batch["prompt_mask"][row]]
        assert (
            tokenizer.decode(prompt) == f"1. {window[0]['caption']}\n2. {window[1]['caption']}\n3."
        )
        target = batch["target_ids"][row][batch["target_mask"][row]].tolist()
        assert tokenizer.decode(target[:-1]) == " " + window[2]["caption"]
        assert target[-1] == tokenizer.eos_token_id
        assert toy.train.story[int(batch["rows"][row])] == window[0]["story_id"]


def test_equal_content_has_equal_numbers(toy: Any) -> None:
    batch = toy.train.batch(np.arange(60))
    texts, ids = batch["target_text"], batch["target_text_id"]
    same = (texts[:, None] == texts[None]).all(-1)
    assert torch.equal(same, ids[:, None] == ids[None])
    assert len(toy.train.text.embeddings) == 4  # four captions in all, kept once


def test_batches_in_order_have_a_supervised_token_in_every_row(toy: Any) -> None:
    batches = list(toy.train.batches(7))
    assert [i for batch in batches for i in batch["rows"].tolist()] == list(range(len(toy.train)))
    assert all(batch["target_mask"].any(dim=1).all() for batch in batches)


@given(
    st.lists(st.integers(1, 200), min_size=1, max_size=300).map(np.array),
    st.integers(1, 20),
    st.integers(0, 2**32 - 1),
    st.integers(0, 5),
)
@settings(max_examples=80)
def test_an_epoch_has_every_window_exactly_once(
    lengths: np.ndarray, batch_size: int, seed: int, epoch: int
) -> None:
    batches = epoch_batches(lengths, batch_size, seed, epoch)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert all(0 < len(batch) <= batch_size for batch in batches)
    assert len(batches) == -(-len(lengths) // batch_size)
    again = epoch_batches(lengths, batch_size, seed, epoch)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))


def test_epochs_and_seeds_differ() -> None:
    lengths = np.arange(100)
    first = np.concatenate(epoch_batches(lengths, 8, 0, 0))
    assert not np.array_equal(first, np.concatenate(epoch_batches(lengths, 8, 0, 1)))
    assert not np.array_equal(first, np.concatenate(epoch_batches(lengths, 8, 1, 0)))


def test_batches_of_similar_length_pad_little() -> None:
    lengths = np.random.default_rng(0).integers(100, 260, size=2000)

    def waste(batches: list[np.ndarray]) -> float:
        return sum(len(batch) * lengths[batch].max() for batch in batches) / lengths.sum() - 1

    assert waste(epoch_batches(lengths, 16, 0, 0)) < 0.05
    assert waste([np.arange(i, i + 16) for i in range(0, 2000, 16)]) > 0.05
