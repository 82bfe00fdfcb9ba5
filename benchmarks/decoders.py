"""Which language models can be decoders: each compared with plain Transformers, tiny and random.

`python -m benchmarks.decoders --out docs/decoders.md` goes through every architecture that the
installed Transformers has for causal language modelling, in a few minutes on two cores; names after
it choose some. What is compared:

- likelihood: `token_nll` of a batch of unequal rows, behind a prefix, with the weights packed;
  against the logits of the whole model, one row at a time;
- captions: `decode_batch` of such a batch, some rows of which end early; against the likeliest
  token of the whole model, one row and one token at a time, without a cache.
"""

import argparse
import copy
import importlib.metadata
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm
from transformers.utils import logging

from benchmarks.tiny_decoders import ARCHITECTURES, NoTinyModelError, tiny_decoder
from pipeline.captioning.decoding import decode_batch, pad_left
from pipeline.common.errors import UserError
from pipeline.common.files import replacing
from pipeline.compute.packed_linear import pack_frozen
from pipeline.model.config import GeneratorConfig
from pipeline.model.generator import StoryGenerator
from pipeline.params import GenerateParams

K, DIM = 2, 16
PROMPTS = [[5, 6, 7, 8, 9], [10, 11], [12, 13, 14], [15, 16, 17, 18]]
TARGETS = [[20, 21, 22], [23, 24, 25, 26, 27], [28, 29], [30, 31, 32]]
TOKENS = 12
"""Longest caption."""


@dataclass(frozen=True)
class Comparison:
    """How one architecture fared."""

    architecture: str
    model: str
    """Class of the model."""
    verdict: str
    """`agrees`, `refused`, `not compared`, or `WRONG`."""
    read_by: str
    """How captions are read: `cache`, or `plain` for without one."""
    note: str


def compare(architecture: str) -> Comparison:
    """Compare one architecture; nothing that it raises stops the others."""
    try:
        lm = tiny_decoder(architecture)
    except NoTinyModelError as error:
        return Comparison(architecture, "", "not compared", "", str(error))
    model = type(lm).__name__
    reference = copy.deepcopy(lm)
    try:
        generator = StoryGenerator(_config(architecture), lm).eval()
    except UserError as error:
        return Comparison(architecture, model, "refused", "", str(error))
    pack_frozen(lm)
    read_by = "cache" if generator.decoder.cached else "plain"
    try:
        wrong = [*likelihood_differs(generator, reference), *captions_differ(generator, reference)]
    except Exception as error:
        wrong = [f"{type(error).__name__}: {error}".splitlines()[0]]
    verdict = "WRONG" if wrong else "agrees"
    return Comparison(architecture, model, verdict, read_by, "; ".join(wrong))


@torch.no_grad()
def likelihood_differs(generator: StoryGenerator, reference: Any) -> list[str]:
    """What is wrong with `token_nll`, if anything; `reference` is the LM as it was made."""
    prefix = _prefix(generator)
    nll = generator.decoder.token_nll(prefix, *_padded(PROMPTS), *_padded(TARGETS))
    wrong = 0.0
    for i, (prompt, target) in enumerate(zip(PROMPTS, TARGETS, strict=True)):
        row = _row(reference, prefix[i], prompt + target)
        logits = reference(inputs_embeds=row[None].clone(), use_cache=False).logits[0].float()
        before = len(row) - len(target) - 1
        plain = F.cross_entropy(logits[before:-1], torch.tensor(target), reduction="none")
        wrong = max(wrong, float((nll[i, : len(target)] - plain).abs().max()))
    return [] if wrong < 1e-3 else [f"likelihood off by {wrong:.3g} nats"]


@torch.no_grad()
def captions_differ(generator: StoryGenerator, reference: Any) -> list[str]:
    """What is wrong with the captions, if anything."""
    prefix = _prefix(generator)
    rows = [_row(reference, prefix[i], prompt) for i, prompt in enumerate(PROMPTS)]
    eos = _ends_some([plain_caption(reference, row, eos=-1) for row in rows])
    expected = [plain_caption(reference, row, eos) for row in rows]
    embeddings, mask = pad_left(rows)
    limits = torch.full((len(rows),), TOKENS)
    greedy = GenerateParams(
        strategy="greedy",
        max_new_tokens=TOKENS,
        temperature=1.0,
        top_p=1.0,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        batch_size=len(rows),
    )
    decoder = generator.decoder
    written = decode_batch(decoder.lm, embeddings, mask, limits, greedy, eos, cached=decoder.cached)
    wrong = sum(row.tokens != plain for row, plain in zip(written, expected, strict=True))
    return [f"{wrong} of {len(rows)} captions differ"] if wrong else []


def plain_caption(lm: Any, row: Tensor, eos: int) -> list[int]:
    """The likeliest token, again and again: no batch, no cache."""
    tokens: list[int] = []
    while len(tokens) < TOKENS and eos not in tokens:
        scores = lm(inputs_embeds=row[None].clone(), use_cache=False).logits[0, -1].float()
        if not tokens and eos >= 0:
            scores[eos] = float("-inf")
        tokens.append(int(scores.argmax()))
        row = torch.cat([row, lm.get_input_embeddings()(torch.tensor(tokens[-1:]))])
    return tokens


def _ends_some(captions: list[list[int]]) -> int:
    """A token to stand for end-of-text: one that ends some captions early, the fewer the better."""
    written = [token for caption in captions for token in caption[1:-1]]
    return min(written, key=lambda token: (sum(token in c for c in captions), token))


def _row(lm: Any, prefix: Tensor, ids: list[int]) -> Tensor:
    return torch.cat([prefix, lm.get_input_embeddings()(torch.tensor(ids))])


def _prefix(generator: StoryGenerator) -> Tensor:
    random = torch.Generator().manual_seed(1)
    images, texts = torch.randn(2, len(PROMPTS), K, DIM, generator=random)
    return generator.encode(images, texts).prefix


def _padded(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
    mask = torch.zeros_like(ids, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = True
    return ids, mask


def _config(architecture: str) -> GeneratorConfig:
    return GeneratorConfig.model_validate(
        {
            "k": K,
            "dim_image": DIM,
            "dim_text": DIM,
            "fusion": {
                "d_model": 16,
                "layers": 1,
                "heads": 2,
                "dropout": 0.0,
                "position_embeddings": True,
            },
            "decoder": {
                "model": architecture,
                "revision": None,
                "tune": "frozen",
                "precision": "float32",
                "n_prefix": 2,
                "frame_prefix": True,
            },
            "prompt": {
                "words_per_caption": 5,
                "max_target_tokens": 16,
                "max_sequence_tokens": 32,
            },
        }
    )


def table(rows: list[Comparison]) -> str:
    """The comparisons as Markdown."""
    counts = {v: sum(row.verdict == v for row in rows) for v in ("agrees", "refused", "WRONG")}
    version = importlib.metadata.version("transformers")
    lines = [
        "# Decoders",
        "",
        f"Every architecture that Transformers {version} has for causal language modelling, as "
        "`decoder.model`: a tiny one of random weights, compared with plain Transformers by "
        "`python -m benchmarks.decoders --out docs/decoders.md` (what is compared, and how: "
        "`benchmarks/decoders.py`).",
        "",
        f"Of {len(rows)}, {counts['agrees']} agree, {counts['refused']} are refused when they are "
        f"loaded, before any training, {counts['WRONG']} are wrong, and of the rest the script "
        "could make no tiny model. Captions are read by a cache where that is found to equal "
        "reading every caption from its start, else plainly, which is slower. Encoders are here "
        "as decoders (`is_decoder` in their config.json); without that they are refused.",
        "",
        "| architecture | class | verdict | captions read by | note |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        note = row.note.replace(f"decoder.model {row.architecture} ", "").replace("|", "\\|")
        cells = [row.architecture, row.model, row.verdict, row.read_by, note]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("architectures", nargs="*", metavar="architecture", help="all by default")
    parser.add_argument("--out", type=Path, help="Markdown file to write; else it is printed")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")  # of architectures, about the sizes that they are given
    logging.set_verbosity_error()
    rows = [compare(name) for name in tqdm(arguments.architectures or ARCHITECTURES)]
    text = table(rows)
    if arguments.out is None:
        print(text)
        return
    with replacing(arguments.out) as partial:
        partial.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
