"""Trains the sample GPT-2 on the storyworld's prose.

It has to learn one thing that template prose hides: to copy names from the context. Perplexity
falls long before names are copied, so training opens with a short phase on random sequences that
repeat themselves, which forms the attention heads that copy ("induction heads", Olsson et al.
2022), and the gate is the accuracy on names, not perplexity.

A last phase teaches it to be steered: blurred keyword embeddings stand where a prefix will stand,
and the loss is on the caption alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer

from pipeline.backbones.card import elapsed, write_card
from pipeline.backbones.documents import (
    KEYWORD_POSITIONS,
    Document,
    captions_of,
    documents,
    steering_document,
)
from pipeline.backbones.names import language_figures
from pipeline.backbones.tokenizers import train_gpt2_tokenizer
from pipeline.common.progress import progress_bar

VOCABULARY = 1800
WIDTH, LAYERS, HEADS = 192, 4, 4
POSITIONS = 512
COPY_STEPS, COPY_LENGTH = 300, 48
STEPS = 2600
BATCH = 16
LEARNING_RATE, WARMUP_STEPS = 2e-3, 100
STEERING_STEPS, STEERING_BATCH, STEERING_RATE = 900, 24, 2e-3
KEYWORD_NOISE = 0.3  # of the spread of the token embeddings: a prefix is never exactly a word


def train_gpt2(out: Path, steps: int = STEPS, seed: int = 1) -> None:
    """Train, measure on stories of its own, and save model, tokenizer and card in `out`."""
    started = time.monotonic()
    torch.manual_seed(seed)
    prose = (caption for i in range(400) for caption in captions_of(f"gpt2-words-{i}")[1])
    tokenizer = train_gpt2_tokenizer((" " + caption for caption in prose), VOCABULARY)
    end = tokenizer.eos_token_id
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=POSITIONS,
            n_embd=WIDTH,
            n_layer=LAYERS,
            n_head=HEADS,
            activation_function="gelu_pytorch_tanh",  # "gelu_new", in one fused kernel
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=end,
            eos_token_id=end,
            pad_token_id=end,
        )
    )
    optimiser = _optimiser(model, LEARNING_RATE)
    batches = document_batches(tokenizer, seed)
    tokens = 0
    bar = progress_bar(range(COPY_STEPS + steps), desc="gpt2", unit="step")
    for step in bar:
        if step < COPY_STEPS:
            half = torch.randint(1, len(tokenizer), (BATCH, COPY_LENGTH))
            ids = torch.cat([half, half], dim=1)
            labels = torch.cat([torch.full_like(half, -100), half], dim=1)
        else:
            ids, labels = next(batches)
        logits = model(input_ids=ids).logits
        rate = LEARNING_RATE * _schedule(step, COPY_STEPS + steps)
        loss = _update(optimiser, logits, labels, rate)
        tokens += int((labels != -100).sum())
        if step % 20 == 0:
            bar.set_postfix(loss=f"{loss:.3f}", tokens=f"{tokens / 1e6:.1f}M")
    model.half().save_pretrained(out)
    tokenizer.save_pretrained(out)
    tokens += steer_gpt2(out, seed)
    trained = GPT2LMHeadModel.from_pretrained(out, dtype=torch.float32).eval()
    figures = language_figures(trained, tokenizer)
    write_card(
        out,
        title="A small GPT-2 of the storyworld",
        data=f"{tokens / 1e6:.1f} million tokens of stories named `gpt2-…`, none of which is in "
        "any sample",
        architecture=f"GPT2LMHeadModel, {LAYERS} layers, {WIDTH} wide, {HEADS} heads, byte-level "
        f"BPE of {len(tokenizer)} tokens, {POSITIONS} positions",
        parameters=model.num_parameters(),
        cost=elapsed(started),
        command="python -m pipeline.backbones gpt2",
        figures=figures,
    )


def steer_gpt2(folder: Path, seed: int) -> int:
    """The last phase, on the model saved in `folder`, which is replaced.

    Returns the number of tokens with a loss.
    """
    torch.manual_seed(seed + 1)
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32)
    tokenizer = GPT2Tokenizer.from_pretrained(folder)
    optimiser = _optimiser(model, STEERING_RATE)
    words = model.get_input_embeddings()
    noise = KEYWORD_NOISE * float(words.weight.detach().std())
    batches = steering_batches(tokenizer, seed)
    tokens = 0
    bar = progress_bar(range(STEERING_STEPS), desc="gpt2, steering", unit="step")
    for step in bar:
        ids, labels = next(batches)
        embeddings = words(ids)
        blurred = noise * torch.randn(len(ids), KEYWORD_POSITIONS, embeddings.shape[-1])
        embeddings = embeddings + functional.pad(
            blurred, (0, 0, 0, ids.shape[1] - KEYWORD_POSITIONS)
        )
        rate = STEERING_RATE * _schedule(step, STEERING_STEPS)
        loss = _update(optimiser, model(inputs_embeds=embeddings).logits, labels, rate)
        tokens += int((labels != -100).sum())
        if step % 20 == 0:
            bar.set_postfix(loss=f"{loss:.3f}")
    model.half().save_pretrained(folder)
    return tokens


def steering_batches(
    tokenizer: GPT2Tokenizer, seed: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless batches (ids, labels), both [BATCH, T]; labels of the target alone."""
    story, pool = 0, 16
    while True:
        names = (f"gpt2-steering-{seed}-{story + i}" for i in range(STEERING_BATCH * pool))
        docs = [steering_document(name, tokenizer) for name in names]
        story += len(docs)
        docs.sort(key=lambda doc: len(doc.ids))
        for i in torch.randperm(pool).tolist():
            chosen = docs[i * STEERING_BATCH : (i + 1) * STEERING_BATCH]
            ids, labels = _pad(chosen, tokenizer.eos_token_id)
            for row, doc in enumerate(chosen):
                labels[row, : doc.target_start] = -100
            yield ids, labels


def _optimiser(model: GPT2LMHeadModel, rate: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )


def _update(
    optimiser: torch.optim.Optimizer, logits: torch.Tensor, labels: torch.Tensor, rate: float
) -> float:
    """One step on the mean nats a token; logits [B, T, V] foretell the labels [B, T] after them."""
    loss = functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100
    )
    optimiser.zero_grad()
    loss.backward()
    for group in optimiser.param_groups:
        group["lr"] = rate
        torch.nn.utils.clip_grad_norm_(group["params"], 1.0)
    optimiser.step()
    return loss.item()


def document_batches(
    tokenizer: GPT2Tokenizer, seed: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless batches (ids, labels), both [BATCH, T]; documents of like length go together."""
    story, pool = 0, 16
    while True:
        docs: list[Document] = []
        while len(docs) < BATCH * pool:
            docs.extend(documents(f"gpt2-{seed}-{story}", tokenizer))
            story += 1
        docs = sorted(docs[: BATCH * pool], key=lambda doc: len(doc.ids))
        for i in torch.randperm(pool).tolist():
            yield _pad(docs[i * BATCH : (i + 1) * BATCH], tokenizer.eos_token_id)


def _pad(docs: list[Document], end: int) -> tuple[torch.Tensor, torch.Tensor]:
    length = max(len(doc.ids) for doc in docs)
    ids = torch.full((len(docs), length), end)
    labels = torch.full((len(docs), length), -100)
    for row, doc in enumerate(docs):
        ids[row, : len(doc.ids)] = torch.tensor(doc.ids)
        labels[row, : len(doc.ids)] = torch.tensor(doc.ids)
    return ids, labels


def _schedule(step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine down to a twentieth."""
    warm = min(1.0, (step + 1) / WARMUP_STEPS)
    return warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))
