"""Batched decoding with a cache, against one row at a time with a full forward at every step."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from pipeline.captioning.decoding import Decoded, decode_batch, pad_left
from pipeline.model.kv_cache import RoomyLayer, roomy_cache
from pipeline.params import GenerateParams
from tests.captioning.conftest import settings
from tests.oracle import greedy

LENGTHS = [3, 17, 9, 17, 1, 30, 12]


@pytest.fixture(scope="module")
def lm(tiny_gpt2: Path) -> Any:
    """Random weights scaled up, so that choices are far from ties and rows differ."""
    model = AutoModelForCausalLM.from_pretrained(tiny_gpt2, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8.0)
    return model


def rows_for(lm: Any, lengths: list[int]) -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    return [torch.randn(n, lm.config.n_embd, generator=random) * 0.5 for n in lengths]


def batched(
    lm: Any, rows: list[Tensor], params: GenerateParams, eos_id: int, draws: Tensor | None = None
) -> list[Decoded]:
    embeddings, mask = pad_left(rows)
    limits = torch.full((len(rows),), params.max_new_tokens)
    return decode_batch(lm, embeddings, mask, limits, params, eos_id, draws)


def an_eos_that_some_write(lm: Any, rows: list[Tensor]) -> int:
    """A token that ends some rows early and others not, in the place of end-of-text."""
    free = [greedy(lm, row, 24, eos_id=lm.config.eos_token_id).tokens for row in rows]
    for token in range(lm.config.vocab_size):
        ends = [ids.index(token) for ids in free if token in ids[1:]]
        if 2 <= len(ends) < len(rows) and len(set(ends)) > 1:
            return token
    raise AssertionError("no such token; change the seed of the rows")


def test_a_batch_of_mixed_lengths_equals_each_row_alone(lm: Any) -> None:
    rows = rows_for(lm, LENGTHS)
    eos = lm.config.eos_token_id
    expected = [greedy(lm, row, 24, eos) for row in rows]
    assert len({tuple(row.tokens) for row in expected}) > 3, "the rows must differ to mean anything"
    assert batched(lm, rows, settings(), eos) == expected
    assert [batched(lm, [row], settings(), eos)[0] for row in rows] == expected


def test_rows_that_end_early_leave_and_change_nothing_for_the_rest(lm: Any) -> None:
    rows = rows_for(lm, LENGTHS)
    eos = an_eos_that_some_write(lm, rows)
    expected = [greedy(lm, row, 24, eos) for row in rows]
    assert {row.finished for row in expected} == {True, False}
    assert all((eos in row.tokens) == row.finished for row in expected)
    out = batched(lm, rows, settings(), eos)
    assert out == expected
    for row, alone in zip(out, expected, strict=True):
        assert row.logprobs == pytest.approx(alone.logprobs, abs=1e-4)


def test_log_probabilities_are_those_of_the_model_however_a_token_was_chosen(lm: Any) -> None:
    rows = rows_for(lm, [5, 9])
    params = settings(strategy="nucleus", temperature=2.0, repetition_penalty=1.3)
    eos = lm.config.eos_token_id
    for row, out in zip(rows, batched(lm, rows, params, eos, torch.rand(2, 24)), strict=True):
        words = lm.get_input_embeddings()(torch.tensor(out.tokens))
        with torch.no_grad():
            logits = lm(inputs_embeds=torch.cat([row, words])[None]).logits[0]
        logprobs = logits[len(row) - 1 : -1].log_softmax(dim=-1)
        assert out.logprobs == pytest.approx(
            [float(logprobs[i, token]) for i, token in enumerate(out.tokens)], abs=1e-4
        )


def test_equals_transformers_generate(lm: Any) -> None:
    """The library's own loop on the same left-padded embeddings.

    Without the repetition penalty: given embeddings, 5.23 skips as many generated tokens of a row
    as the row has padding. The rule itself is compared in test_next_token.
    """
    rows = rows_for(lm, LENGTHS)
    eos = an_eos_that_some_write(lm, rows)
    embeddings, mask = pad_left(rows)
    theirs = lm.generate(
        inputs_embeds=embeddings,
        attention_mask=mask,
        do_sample=False,
        min_new_tokens=1,
        max_new_tokens=24,
        no_repeat_ngram_size=2,
        eos_token_id=eos,
        pad_token_id=eos,
    ).tolist()
    ours = batched(lm, rows, settings(no_repeat_ngram_size=2), eos)
    assert [row.tokens for row in ours] == [
        ids[: ids.index(eos) + 1] if eos in ids else ids for ids in theirs
    ]


def test_a_repetition_penalty_reaches_the_tokens_written(lm: Any) -> None:
    rows = rows_for(lm, LENGTHS)
    eos = lm.config.eos_token_id
    distinct = [
        sum(len(set(row.tokens)) for row in batched(lm, rows, params, eos))
        for params in (settings(), settings(repetition_penalty=1.2))
    ]
    assert distinct[0] < distinct[1]
    with_one_row_alone = [
        batched(lm, [row], settings(repetition_penalty=1.2), eos)[0] for row in rows
    ]
    assert batched(lm, rows, settings(repetition_penalty=1.2), eos) == with_one_row_alone


def test_each_row_keeps_its_own_limit(lm: Any) -> None:
    rows = rows_for(lm, [5, 6, 7])
    embeddings, mask = pad_left(rows)
    eos = lm.config.eos_token_id
    limits = torch.tensor([1, 9, 4])
    out = decode_batch(lm, embeddings, mask, limits, settings(), eos)
    assert out == [greedy(lm, row, int(n), eos) for row, n in zip(rows, limits, strict=True)]
    assert sum(not row.finished for row in out) >= 2
    assert all(row.finished or len(row.tokens) == n for row, n in zip(out, limits, strict=True))


def test_end_of_text_on_the_last_allowed_step_counts_as_finished(lm: Any) -> None:
    rows = rows_for(lm, LENGTHS)
    eos = an_eos_that_some_write(lm, rows)
    step = next(len(d.tokens) for d in batched(lm, rows, settings(), eos) if d.finished)
    cut = batched(lm, rows, settings(max_new_tokens=step), eos)
    assert any(d.finished and len(d.tokens) == step for d in cut)


def test_never_empty(lm: Any) -> None:
    """Even where end-of-text is the likeliest first token, something is written."""
    rows = rows_for(lm, [4])
    first = greedy(lm, rows[0], 1, eos_id=lm.config.eos_token_id).tokens[0]
    out = batched(lm, rows, settings(), eos_id=first)
    assert out[0].tokens and first not in out[0].tokens


def test_a_nucleus_sample_does_not_depend_on_the_batch(lm: Any) -> None:
    rows = rows_for(lm, LENGTHS)
    params = settings(strategy="nucleus", temperature=3.0)
    draws = torch.rand(len(rows), 24, generator=torch.Generator().manual_seed(3))
    eos = lm.config.eos_token_id
    together = batched(lm, rows, params, eos, draws)
    alone = [batched(lm, [row], params, eos, draws[i : i + 1])[0] for i, row in enumerate(rows)]
    assert together == alone
    other = batched(lm, rows, params, eos, torch.rand(len(rows), 24))
    assert together != other


def test_padding_is_never_looked_at(lm: Any) -> None:
    """Whatever stands in the padded places, the result is the same to the last bit."""
    rows = rows_for(lm, [3, 11])
    embeddings, mask = pad_left(rows)
    assert mask.tolist() == [[0] * 8 + [1] * 3, [1] * 11]
    noisy = torch.where(mask[..., None] == 1, embeddings, torch.full_like(embeddings, 50.0))
    limits = torch.tensor([24, 24])
    eos = lm.config.eos_token_id
    assert decode_batch(lm, noisy, mask, limits, settings(), eos) == decode_batch(
        lm, embeddings, mask, limits, settings(), eos
    )


def test_the_cache_refuses_to_overflow(lm: Any) -> None:
    cache = roomy_cache(lm.config, room=4)
    assert all(isinstance(layer, RoomyLayer) for layer in cache.layers)
    with pytest.raises(ValueError, match="room for 4 positions, 5"):
        lm(input_ids=torch.ones(1, 5, dtype=torch.int64), past_key_values=cache, use_cache=True)
