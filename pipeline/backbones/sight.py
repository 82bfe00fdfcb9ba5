"""What the sample CLIP and the judge see, on held-out stories: retrieval and linear probes.

Retrieval alone hides what a CLIP does not see (a backdrop is often enough to find the caption),
so each attribute is probed for as well.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import normalize
from transformers import AutoTokenizer, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from pipeline.backbones.pictures import ATTRIBUTES, labels_of
from pipeline.prepare.grounding import frame_captions
from pipeline.storyworld.drawing.pictures import draw_scene, encode_jpeg
from pipeline.storyworld.prose import told_story

HELD_OUT_STORIES = 160
POOL = 200


def sight_figures(folder: Path, stories: int = HELD_OUT_STORIES) -> dict[str, float]:
    """R@1 and R@5 from image to caption in pools of `POOL` frames, cosines, and the accuracy of a
    linear probe for each attribute (fitted on half of the stories, measured on the other half)."""
    images, texts, labels = held_out(folder, stories)
    pools = [slice(i, i + POOL) for i in range(0, len(images) - POOL + 1, POOL)]
    rng = np.random.default_rng(0)
    order = rng.permutation(len(images))
    ranks = []
    for pool in pools:
        rows = order[pool]
        scores = images[rows] @ texts[rows].T
        ranks.append((scores > np.diag(scores)[:, None]).sum(axis=1))
    rank = np.concatenate(ranks)
    figures = {
        "R@1, image to caption among 200": float((rank == 0).mean()),
        "R@5, image to caption among 200": float((rank < 5).mean()),
        "cosine of a frame and its caption": float((images * texts).sum(1).mean()),
        "cosine of a frame and another's caption": float(
            (images * np.roll(texts, len(texts) // 2, axis=0)).sum(1).mean()
        ),
    }
    half = len(images) // 2
    for column, name in enumerate(ATTRIBUTES):
        probe = LogisticRegression(C=100.0, max_iter=500)
        probe.fit(images[:half], labels[:half, column])
        figures[f"probe: {name}"] = float(probe.score(images[half:], labels[half:, column]))
    return figures


@torch.inference_mode()
def held_out(folder: Path, stories: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit embeddings of held-out frames and captions, [N, D] each, and labels [N, attributes]."""
    model = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    processor = CLIPImageProcessorPil.from_pretrained(folder)
    images, texts, labels = [], [], []
    for i in range(stories):
        story, text = told_story(f"held-out-{i}")
        drawn = [
            Image.open(io.BytesIO(encode_jpeg(draw_scene(scene, 480)))) for scene in story.scenes
        ]
        pixels = processor(drawn, return_tensors="pt")["pixel_values"]
        captions = frame_captions(text, len(story.scenes))
        tokens = tokenizer(captions, padding=True, truncation=True, return_tensors="pt")
        images.append(normalize(model.get_image_features(pixel_values=pixels).pooler_output))
        texts.append(normalize(model.get_text_features(**tokens).pooler_output))
        labels += [labels_of(scene) for scene in story.scenes]
    return torch.cat(images).numpy(), torch.cat(texts).numpy(), np.array(labels)
