"""What our figures are set against: the same work, written as plainly as it is usually done.

Tests compare what these compute with what the pipeline computes, so that a ratio never compares
different things.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize
from transformers import AutoTokenizer, CLIPModel, CLIPProcessor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from pipeline.dataset.loaded import Batch
from pipeline.dataset.story_dataset import Contexts
from pipeline.model.generator import StoryGenerator
from pipeline.model.losses import contrastive_loss
from pipeline.model.prompt import PromptBuilder
from pipeline.params import LossParams, TrainParams

Item = TypeVar("Item")

PLAIN_BATCH = 32
ON_THE_FLY_BATCH = 2
"""Windows a step, as published."""
IGNORED = -100
"""Label of a position without a loss, in Transformers."""


class PlainClip:
    """Plain Hugging Face: CLIPProcessor, batches of 32 in the order given, float32.

    The processor's Pillow backend: the other one needs torchvision.
    """

    def __init__(self, folder: Path, device: torch.device):
        self.device = device
        self.model = CLIPModel.from_pretrained(folder, dtype=torch.float32).to(device).eval()
        self.processor = CLIPProcessor(
            image_processor=CLIPImageProcessorPil.from_pretrained(folder),
            tokenizer=AutoTokenizer.from_pretrained(folder),
        )

    @torch.inference_mode()
    def images(self, data: Sequence[bytes]) -> Tensor:
        """Encoded images to embeddings [N, D], unit norm."""
        parts = []
        for batch in _batches(data):
            values = self.pixel_values(batch)
            parts.append(self.model.get_image_features(pixel_values=values).pooler_output)
        return normalize(torch.cat(parts), dim=-1)

    def pixel_values(self, data: Sequence[bytes]) -> Tensor:
        """Encoded images to what the image tower takes, [N, 3, S, S]."""
        pictures = [Image.open(io.BytesIO(image)).convert("RGB") for image in data]
        inputs = self.processor(images=pictures, return_tensors="pt").to(self.device)
        values: Tensor = inputs["pixel_values"]
        return values

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Captions to embeddings [N, D], unit norm."""
        parts = []
        for batch in _batches(texts):
            inputs = self.processor(
                text=list(batch), padding=True, truncation=True, return_tensors="pt"
            ).to(self.device)
            parts.append(self.model.get_text_features(**inputs).pooler_output)
        return normalize(torch.cat(parts), dim=-1)


@dataclass(frozen=True)
class Window:
    """K frames and the one after them, as they lie on disk."""

    images: list[bytes]
    """K + 1 encoded images."""
    captions: list[str]
    """K + 1 captions."""


class OnTheFly:
    """Training without cached features: the published way.

    Each step decodes its images, runs CLIP over images and captions, tokenises, and takes GPT-2's
    logits at every position, in batches of two windows.
    """

    def __init__(
        self,
        generator: StoryGenerator,
        prompts: PromptBuilder,
        clip: PlainClip,
        loss: LossParams,
        train: TrainParams,
    ):
        self.generator = generator
        self.prompts = prompts
        self.clip = clip
        self.weights = loss
        self.max_grad_norm = train.max_grad_norm
        self.parameters = list(generator.trainable().values())
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=train.lr, weight_decay=train.weight_decay
        )

    def step(self, windows: Sequence[Window]) -> float:
        """One optimiser step; the loss before it."""
        loss = self.loss(windows)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.max_grad_norm)
        self.optimiser.step()
        return loss.item()

    def loss(self, windows: Sequence[Window]) -> Tensor:
        """L_txt + alpha L_img + lambda L_align of windows whose targets all differ."""
        count = len(windows)
        images = self.clip.images([image for window in windows for image in window.images])
        texts = self.clip.texts([text for window in windows for text in window.captions])
        # Cloned: tensors of inference mode may not take part in a backward pass.
        images, texts = (x.clone().view(count, -1, x.shape[-1]) for x in (images, texts))
        encoded = self.generator.encode(images[:, :-1], texts[:, :-1])

        ids, labels = self._tokens(windows)
        embeds = self.generator.decoder.embed(encoded.prefix, ids.to(images.device))
        in_front = torch.full((count, encoded.prefix.shape[1]), IGNORED)
        labels = torch.cat([in_front, labels], dim=1).to(images.device)
        nll = self.generator.decoder.lm(inputs_embeds=embeds, labels=labels, use_cache=False).loss

        distinct = torch.arange(count, device=images.device)
        img = contrastive_loss(encoded.image_pred, images[:, -1], distinct)
        align = contrastive_loss(encoded.text_pred, texts[:, -1], distinct)
        total: Tensor = nll + self.weights.alpha * img + self.weights.lambda_ * align
        return total

    def _tokens(self, windows: Sequence[Window]) -> tuple[Tensor, Tensor]:
        """Ids of prompt and target [B, L], padded on the right, and labels on the target alone."""
        pairs = [self.prompts.example_ids(w.captions[:-1], w.captions[-1]) for w in windows]
        length = max(len(prompt) + len(target) for prompt, target in pairs)
        ids = torch.zeros(len(pairs), length, dtype=torch.int64)
        labels = torch.full_like(ids, IGNORED)
        for row, (prompt, target) in enumerate(pairs):
            end = len(prompt) + len(target)
            ids[row, :end] = torch.tensor(prompt + target)
            labels[row, len(prompt) : end] = torch.tensor(target)
        return ids, labels


@torch.inference_mode()
def one_at_a_time(
    generator: StoryGenerator, prompts: PromptBuilder, contexts: Contexts, max_new_tokens: int
) -> list[str]:
    """Greedy captions by Transformers' `generate`, story by story."""
    decoder = generator.decoder
    device = decoder.word_scale.device
    captions = []
    for i, context in enumerate(contexts.captions):
        ids = torch.tensor([prompts.prompt_ids(context)], device=device)
        images, texts = (
            torch.from_numpy(part[i : i + 1]).to(device)
            for part in (contexts.images, contexts.texts)
        )
        embeds = decoder.embed(generator.encode(images, texts).prefix, ids)
        written = decoder.lm.generate(
            inputs_embeds=embeds,
            attention_mask=torch.ones(embeds.shape[:2], dtype=torch.int64, device=device),
            do_sample=False,
            min_new_tokens=1,
            max_new_tokens=max_new_tokens,
            pad_token_id=prompts.eos_id,
        )
        captions.append(prompts.decode(written[0].tolist()))
    return captions


def bare_clip(folder: Path, precision: str, device: torch.device) -> CLIPModel:
    """The model as Transformers loads it, to be run on tensors that are there already."""
    model = CLIPModel.from_pretrained(folder, dtype=getattr(torch, precision))
    return model.to(device).eval()


@torch.inference_mode()
def bare_images(model: CLIPModel, pixels: Tensor, batch_size: int) -> NDArray[np.float32]:
    """The forward pass alone over pixel values [N, 3, S, S]: embeddings [N, D]."""
    parts = [
        model.get_image_features(pixel_values=pixels[i : i + batch_size]).pooler_output
        for i in range(0, len(pixels), batch_size)
    ]
    embeddings: NDArray[np.float32] = torch.cat(parts).float().cpu().numpy()
    return embeddings


def bare_step(generator: StoryGenerator, batch: Batch) -> None:
    """The decoder's forward and backward pass alone over a batch: no encoder, no update."""
    with torch.no_grad():
        prefix = generator.encode(batch["images"], batch["texts"]).prefix
    generator.caption_nll(prefix.requires_grad_(), batch).sum().backward()


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), PLAIN_BATCH):
        yield items[start : start + PLAIN_BATCH]
