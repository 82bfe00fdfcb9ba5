"""The backbones that ship with the repository: plain Hugging Face folders that see and name."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoTokenizer, CLIPModel, GPT2LMHeadModel

from pipeline.backbones.names import language_figures
from pipeline.backbones.sight import sight_figures

SAMPLE = Path("data/sample")
CLIPS = ["clip", "judge"]


def test_together_they_are_small_enough_for_git() -> None:
    assert sum(f.stat().st_size for f in SAMPLE.rglob("*") if f.is_file()) <= 24e6


@pytest.mark.parametrize("name", [*CLIPS, "gpt2"])
def test_weights_are_float16_safetensors_and_a_card_tells_their_story(name: str) -> None:
    with safe_open(SAMPLE / name / "model.safetensors", "pt") as weights:
        keys = list(weights.keys())
        assert {weights.get_slice(key).get_dtype() for key in keys} == {"F16"}
    card = (SAMPLE / name / "README.md").read_text()
    for word in ("Data", "Cost", "Parameters", "held-out", f"backbones {name}"):
        assert word in card
    assert not list((SAMPLE / name).glob("*.bin"))


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_finds_the_caption_of_a_frame(name: str) -> None:
    """In fewer pools than the card's, so its figures are a little rougher."""
    figures = sight_figures(SAMPLE / name, stories=66)
    assert figures["R@1, image to caption among 200"] >= 0.8
    assert figures["R@5, image to caption among 200"] >= 0.98
    if name == "clip":  # the judge compares captions; the model lives on what this one sees
        for seen in ("place", "time of day", "shot", "main prop", "clothes' colour"):
            assert figures[f"probe: {seen}"] >= 0.85, seen
        assert figures["probe: action"] >= 0.75


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_is_loaded_as_the_hubs_are(name: str) -> None:
    model = CLIPModel.from_pretrained(SAMPLE / name)
    tokenizer = AutoTokenizer.from_pretrained(SAMPLE / name)
    assert model.config.projection_dim == 512
    assert tokenizer.model_max_length == 77
    ids = tokenizer("word " * 200, truncation=True)["input_ids"]
    assert len(ids) == 77 and ids[-1] == model.config.text_config.eos_token_id


def test_gpt2_copies_the_names_of_the_context() -> None:
    model = GPT2LMHeadModel.from_pretrained(SAMPLE / "gpt2", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(SAMPLE / "gpt2")
    figures = language_figures(model, tokenizer, stories=40)
    assert figures["names copied from the context"] >= 0.95
    assert figures["the right one, at first mention"] >= 0.8


def test_no_story_of_the_sample_was_trained_on() -> None:
    """Stories follow from their names alone; the sample's names begin with its numeric seed."""
    from pipeline.backbones.recipes import RECIPES

    trained = [*RECIPES, "gpt2", "held-out"]
    assert not any(name.split("-")[0].isdigit() for name in trained)
