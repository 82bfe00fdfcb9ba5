"""The comparison of decoders with plain Transformers, on one of each kind; the table of all."""

from pathlib import Path

import pytest
import torch

from benchmarks.decoders import Comparison, compare, plain_caption, table
from benchmarks.tiny_decoders import ARCHITECTURES, NoTinyModelError, tiny_decoder

TABLE = Path(__file__).parents[2] / "docs" / "decoders.md"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "read_by"),
    [
        ("gpt2", "cache"),
        ("mamba", "cache"),
        ("mamba2", "cache"),
        ("falcon_mamba", "cache"),
        ("rwkv", "plain"),
        ("ctrl", "cache"),
        ("jamba", "cache"),
        ("bamba", "cache"),
        ("lfm2", "cache"),
        ("qwen3_next", "cache"),
        ("recurrent_gemma", "plain"),
        ("openai-gpt", "plain"),
        ("falcon", "cache"),
        ("phimoe", "cache"),
        ("llama4", "cache"),
        ("gemma3", "cache"),
        ("mistral", "cache"),  # a window that is shorter than what is read
        ("moshi", "cache"),  # its configuration names one that its attention does not have
    ],
)
def test_likelihood_and_captions_are_those_of_plain_transformers(
    architecture: str, read_by: str
) -> None:
    assert compare(architecture) == Comparison(
        architecture, type(tiny_decoder(architecture)).__name__, "agrees", read_by, ""
    )


def test_it_would_see_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.model import check

    monkeypatch.setattr(check, "_cache_agrees", lambda *_: True)  # as if nobody had looked
    row = compare("rwkv")
    assert row.verdict == "WRONG" and "captions differ" in row.note


@torch.no_grad()
def test_a_plain_caption_is_what_generate_writes() -> None:
    lm = tiny_decoder("llama")
    ids = torch.tensor([[5, 6, 7, 8]])
    row = lm.get_input_embeddings()(ids)[0]
    written = lm.generate(ids, max_new_tokens=12, do_sample=False, eos_token_id=None)[0, 4:]
    assert plain_caption(lm, row, eos=-1) == written.tolist()


def test_one_that_cannot_be_made_is_listed_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> None:
        raise NoTinyModelError("install timm")

    monkeypatch.setattr("benchmarks.decoders.tiny_decoder", fails)
    row = compare("gpt2")
    assert (row.verdict, row.note) == ("not compared", "install timm")
    assert "| gpt2 |  | not compared |  | install timm |" in table([row])


def test_the_table_has_every_architecture_and_nothing_wrong() -> None:
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    rows = [line.strip("|").split(" | ") for line in lines if line.startswith("| ")][1:]
    verdicts = {row[0].strip(): row[2] for row in rows}
    assert set(verdicts) == set(ARCHITECTURES), "make it anew: python -m benchmarks.decoders"
    assert set(verdicts.values()) == {"agrees", "refused", "not compared"}
    for name in ("gpt2", "llama", "mistral", "qwen2", "gemma2", "opt", "bloom", "phi", "mamba"):
        assert verdicts[name] == "agrees"
