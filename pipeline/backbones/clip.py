"""Trains the sample CLIP, and the judge, on drawn frames.

Contrastive training alone learns the backdrops and stops there: retrieval succeeds while actions
and things stay unseen. So there are three phases:

1. *name*: the vision tower learns to name every attribute of a frame;
2. *match*: both towers train contrastively (Radford et al. 2021, symmetric cross-entropy) with the
   attribute heads kept on for both modalities: one linear head reads an attribute from an image
   embedding and from a caption's embedding alike, which also pulls the two together;
3. *look closer*: the text tower is locked (as in LiT, Zhai et al. 2022) and the vision tower goes
   on, on new frames, with more weight on the small things: what is at hand, and the hair.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from transformers import CLIPModel, CLIPTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from pipeline.backbones.card import elapsed, write_card
from pipeline.backbones.documents import captions_of
from pipeline.backbones.heads import AttributeHeads
from pipeline.backbones.pictures import TOLD, Frames, draw_frames
from pipeline.backbones.recipes import (
    PROJECTION,
    RECIPES,
    Recipe,
    clip_config,
    image_processor,
)
from pipeline.backbones.sight import sight_figures
from pipeline.backbones.tokenizers import CLIP_CONTEXT, train_clip_tokenizer
from pipeline.common.progress import progress_bar

VOCABULARY = 1600
CLOSER_LOOK = {"main prop": 4.0, "hair style": 2.0, "hair colour": 2.0, "place": 2.0}


def train_clip(name: str, out: Path) -> None:
    """Train the CLIP of that name, measure it on held-out stories, save it with its card."""
    recipe = RECIPES[name]
    started = time.monotonic()
    torch.manual_seed(recipe.seed)
    prose = (caption for i in range(400) for caption in captions_of(f"{name}-words-{i}")[1])
    tokenizer = train_clip_tokenizer(prose, VOCABULARY)
    model = CLIPModel(clip_config(recipe, tokenizer))
    heads = AttributeHeads()
    frames = draw_frames(name, recipe.stories, recipe.frames_per_story, recipe.image_size)

    _train_attributes(model, heads, frames, recipe)
    _train_contrastive(model, heads, frames, tokenizer, recipe, name)

    tokenizer.save_pretrained(out)
    image_processor(recipe).save_pretrained(out)
    model.half().save_pretrained(out)
    look_closer(name, out)
    figures = sight_figures(out)
    steps = recipe.attribute_steps + recipe.contrastive_steps + recipe.closer_steps
    write_card(
        out,
        title="A small CLIP of the storyworld" + (", the judge" if name == "judge" else ""),
        data=f"{2 * len(frames.labels)} drawn frames of stories named `{name}-…`, none of which is "
        f"in any sample; {recipe.batch * steps} looks at them, captioned in ever new words",
        architecture=f"CLIPModel, vision {recipe.vision_layers} x {recipe.vision_width} on "
        f"{recipe.image_size} pixels in patches of {recipe.patch}, text {recipe.text_layers} x "
        f"{recipe.text_width}, projected to {PROJECTION}; BPE of {len(tokenizer)} tokens",
        parameters=model.num_parameters(),
        cost=elapsed(started),
        command=f"python -m pipeline.backbones {name}",
        figures=figures,
    )


def _train_attributes(
    model: CLIPModel, heads: AttributeHeads, frames: Frames, recipe: Recipe
) -> None:
    """Phase 1: the vision tower names every attribute."""
    tower = [*model.vision_model.parameters(), *model.visual_projection.parameters()]
    optimiser = _optimiser([*tower, *heads.parameters()], recipe)
    bar = progress_bar(range(recipe.attribute_steps), desc="attributes", unit="step")
    order = _Order(len(frames.labels), recipe)
    for step in bar:
        rows = order.next()
        images = _image_embeddings(model, frames, rows)
        loss = heads(images, torch.from_numpy(frames.labels[rows]))
        _step(optimiser, loss, recipe, step, recipe.attribute_steps, floor=0.3)
        if step % 10 == 0:
            bar.set_postfix(loss=f"{loss.item():.3f}")


def _train_contrastive(
    model: CLIPModel,
    heads: AttributeHeads,
    frames: Frames,
    tokenizer: CLIPTokenizer,
    recipe: Recipe,
    name: str,
) -> None:
    """Phase 2: image and caption together, attribute heads kept on."""
    optimiser = _optimiser([*model.parameters(), *heads.parameters()], recipe)
    bar = progress_bar(range(recipe.contrastive_steps), desc="contrastive", unit="step")
    order = _Order(len(frames.labels), recipe)
    ids = torch.empty(0)
    for step in bar:
        if order.epoch_begins:
            ids = tokenizer(
                frames.captions(f"{name} telling {step}"),
                padding="max_length",
                max_length=CLIP_CONTEXT,
                truncation=True,
                return_tensors="pt",
            )["input_ids"]
        rows = order.next()
        images = _image_embeddings(model, frames, rows)
        texts = normalize(model.get_text_features(input_ids=ids[rows]).pooler_output, dim=-1)
        labels = torch.from_numpy(frames.labels[rows])
        scale = model.logit_scale.clamp(max=math.log(50)).exp()
        contrastive = _contrastive(images, texts, scale)
        attributes = heads(images, labels) + heads(texts, labels, TOLD)
        _step(
            optimiser, contrastive + attributes, recipe, step, recipe.contrastive_steps, floor=0.02
        )
        if step % 10 == 0:
            bar.set_postfix(
                pairs=f"{contrastive.item():.3f}", attributes=f"{attributes.item():.3f}"
            )


def look_closer(name: str, folder: Path) -> None:
    """Phase 3, on the model saved in `folder`, which is replaced."""
    recipe = RECIPES[name]
    torch.manual_seed(recipe.seed + 1)
    model = CLIPModel.from_pretrained(folder, dtype=torch.float32)
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    heads = AttributeHeads()
    frames = draw_frames(
        f"{name}-closer", recipe.stories, recipe.frames_per_story, recipe.image_size
    )
    texts = _embed_captions(model, tokenizer, frames.captions(f"{name} closer"), recipe)
    tower = [*model.vision_model.parameters(), *model.visual_projection.parameters()]
    optimiser = _optimiser([*tower, *heads.parameters()], recipe)
    scale = model.logit_scale.detach().exp()
    bar = progress_bar(range(recipe.closer_steps), desc="look closer", unit="step")
    order = _Order(len(frames.labels), recipe)
    for step in bar:
        rows = order.next()
        images = _image_embeddings(model, frames, rows)
        labels = torch.from_numpy(frames.labels[rows])
        contrastive = _contrastive(images, texts[rows], scale)
        attributes = heads(images, labels, weights=CLOSER_LOOK)
        attributes = attributes + heads(texts[rows], labels, TOLD)
        own = 1 - (images * texts[rows]).sum(dim=1).mean()
        loss = contrastive + 2 * attributes + own
        _step(optimiser, loss, recipe, step, recipe.closer_steps, floor=0.02)
        if step % 10 == 0:
            bar.set_postfix(
                pairs=f"{contrastive:.3f}", attributes=f"{attributes:.3f}", cosine=f"{1 - own:.3f}"
            )
    model.half().save_pretrained(folder)


@torch.no_grad()
def _embed_captions(
    model: CLIPModel, tokenizer: CLIPTokenizer, captions: list[str], recipe: Recipe
) -> Tensor:
    """Unit embeddings of captions, [N, 512]."""
    parts = []
    for start in progress_bar(range(0, len(captions), recipe.batch), desc="captions", unit="batch"):
        tokens = tokenizer(
            captions[start : start + recipe.batch],
            padding=True,
            truncation=True,
            return_tensors="pt",
        )
        parts.append(normalize(model.get_text_features(**tokens).pooler_output, dim=-1))
    return torch.cat(parts)


def _image_embeddings(model: CLIPModel, frames: Frames, rows: np.ndarray) -> Tensor:
    """Unit embeddings of frames, [B, 512]."""
    features = model.get_image_features(pixel_values=_pixels(frames, rows))
    return normalize(features.pooler_output, dim=-1)


def _contrastive(images: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """CLIP's symmetric cross-entropy over a batch, in nats; embeddings [B, 512]."""
    logits = scale * texts @ images.T
    own = torch.arange(len(logits))
    return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2


class _Order:
    """Batches of rows, every row once an epoch, in an order of the recipe's seed."""

    def __init__(self, n: int, recipe: Recipe) -> None:
        self.rng = np.random.default_rng(recipe.seed)
        self.n, self.batch = n, recipe.batch
        self.left = np.empty(0, dtype=np.int64)

    @property
    def epoch_begins(self) -> bool:
        return len(self.left) < self.batch

    def next(self) -> np.ndarray:
        if self.epoch_begins:
            self.left = self.rng.permutation(self.n)
        rows, self.left = self.left[: self.batch], self.left[self.batch :]
        return rows


def _pixels(frames: Frames, rows: np.ndarray) -> Tensor:
    """[B, 3, size, size] float32, normalised as the image processor does."""
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (_MEAN, _STD))
    pixels = torch.from_numpy(frames.pixels[rows]).permute(0, 3, 1, 2).float() / 255
    return (pixels - mean) / std


_MEAN, _STD = CLIPImageProcessorPil.image_mean, CLIPImageProcessorPil.image_std


def _optimiser(parameters: list[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        parameters, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.02, fused=True
    )


def _step(
    optimiser: torch.optim.Optimizer,
    loss: Tensor,
    recipe: Recipe,
    step: int,
    steps: int,
    floor: float,
) -> None:
    """One update; linear warm-up over 40 steps, then half a cosine down to `floor`."""
    rate = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * step / steps))
    for group in optimiser.param_groups:
        group["lr"] = recipe.learning_rate * rate * min(1.0, (step + 1) / 40)
    optimiser.zero_grad()
    loss.backward()
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimiser.step()
