"""How big the sample CLIP and the judge are, and how long they train."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import CLIPConfig, CLIPTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from pipeline.backbones.tokenizers import CLIP_CONTEXT

PROJECTION = 512


@dataclass(frozen=True)
class Recipe:
    """A small CLIP and how it is trained. Widths and sizes in units and pixels."""

    seed: int
    vision_width: int
    vision_layers: int
    text_width: int
    text_layers: int
    image_size: int = 112
    patch: int = 16
    stories: int = 3600
    frames_per_story: int = 5
    attribute_steps: int = 420
    contrastive_steps: int = 480
    closer_steps: int = 520
    batch: int = 96
    learning_rate: float = 1.2e-3


RECIPES = {
    "clip": Recipe(seed=11, vision_width=192, vision_layers=4, text_width=160, text_layers=3),
    "judge": Recipe(
        seed=23,
        vision_width=160,
        vision_layers=4,
        text_width=128,
        text_layers=2,
        stories=2600,
        attribute_steps=300,
        contrastive_steps=300,
        closer_steps=220,
    ),
}


def clip_config(recipe: Recipe, tokenizer: CLIPTokenizer) -> CLIPConfig:
    """The architecture of a recipe with the vocabulary of its tokenizer."""
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return CLIPConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": recipe.text_width,
            "intermediate_size": 4 * recipe.text_width,
            "num_hidden_layers": recipe.text_layers,
            "num_attention_heads": recipe.text_width // 32,
            "max_position_embeddings": CLIP_CONTEXT,
            "hidden_act": "gelu",
            **ids,
        },
        vision_config={
            "hidden_size": recipe.vision_width,
            "intermediate_size": 4 * recipe.vision_width,
            "num_hidden_layers": recipe.vision_layers,
            "num_attention_heads": recipe.vision_width // 32,
            "image_size": recipe.image_size,
            "patch_size": recipe.patch,
            "hidden_act": "gelu",
        },
        projection_dim=PROJECTION,
        **ids,
    )


def image_processor(recipe: Recipe) -> CLIPImageProcessorPil:
    """Scales the shortest side and cuts the centre, as CLIP's does."""
    size = recipe.image_size
    return CLIPImageProcessorPil(
        size={"shortest_edge": size}, crop_size={"height": size, "width": size}
    )
