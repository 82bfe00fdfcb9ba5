"""A toy world whose pictures foretell the next caption's last word, in real files."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from pipeline.clip.frozen import FrozenClip
from pipeline.common.stage import Inputs
from pipeline.dataset.loaded import LoadedDataset
from pipeline.dataset.story_dataset import Stories
from pipeline.features.store import write_shard
from pipeline.model.config import GeneratorConfig
from pipeline.model.generator import StoryGenerator
from pipeline.model.language_model import load_prompts
from pipeline.params import DecoderParams, FusionParams, PromptParams
from pipeline.stories.frames import FRAMES_SCHEMA, content_key

WORDS = ["lamp", "river", "train", "key"]
K, DIM, FRAMES_PER_STORY = 2, 24, 6  # DIM as wide as the tiny CLIP's


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, tiny_clip: Path) -> Inputs:
    folder = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(len(WORDS), DIM))
    rows, image_keys, images, texts = [], [], [], {}
    stories = [f"story-{i:02d}" for i in range(40)]
    for story in stories:
        plan = rng.integers(len(WORDS), size=FRAMES_PER_STORY + 1)
        for i in range(FRAMES_PER_STORY):
            caption = f"They look at the {WORDS[plan[i]]}."
            image_keys.append(content_key(f"{story}/{i}".encode()))
            images.append(codes[plan[i + 1]] + 0.1 * rng.normal(size=DIM))
            texts[content_key(caption.encode())] = codes[plan[i]]
            rows.append(
                {
                    "split": "train",
                    "story_id": story,
                    "frame_index": i,
                    "n_frames": FRAMES_PER_STORY,
                    "caption": caption,
                    "image_file": "train/00000.parquet",
                    "image_row": 0,
                    "image_index": i,
                    "image_key": image_keys[-1],
                    "caption_key": content_key(caption.encode()),
                }
            )
    result = Inputs(
        folder / "frames.parquet", folder / "splits.json", folder / "image", folder / "text"
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=FRAMES_SCHEMA), result.frames)
    result.splits.write_text(
        json.dumps({"train": stories[:30], "val": stories[30:35], "test": stories[35:]})
    )
    clip = FrozenClip.load(str(tiny_clip), precision="float32")  # reads what is written later
    for modality, path, keys, vectors in (
        ("image", result.images, image_keys, np.array(images)),
        ("text", result.texts, list(texts), np.array(list(texts.values()))),
    ):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        key_rows = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32)
        attributes = clip.settings(modality) | {"fingerprint": clip.fingerprint(modality)}
        write_shard(path / "00000.h5", key_rows, unit, attributes)
    return result


def toy_config(gpt2: Path, tune: str) -> GeneratorConfig:
    """A generator of width 32 over the toy world."""
    return GeneratorConfig(
        k=K,
        dim_image=DIM,
        dim_text=DIM,
        fusion=FusionParams(d_model=32, layers=1, heads=2),
        decoder=DecoderParams(model=str(gpt2), tune=tune, n_prefix=2),
        prompt=PromptParams(words_per_caption=3, max_target_tokens=32, max_sequence_tokens=128),
    )


@dataclass(frozen=True)
class Toy:
    """A fresh generator and the toy world's windows."""

    generator: StoryGenerator
    train: LoadedDataset
    val: LoadedDataset


@pytest.fixture
def toy(world: Inputs, tiny_gpt2: Path, request: pytest.FixtureRequest) -> Toy:
    """With a tuned decoder unless parametrised by `frozen`: a random LM has nothing to steer."""
    config = toy_config(tiny_gpt2, getattr(request, "param", "full"))
    stories = Stories.open(world)
    prompts, cpu = load_prompts(config), torch.device("cpu")
    train, val = (
        LoadedDataset.of(stories.windows(split, K, mode), prompts, cpu)
        for split, mode in (("train", "sliding"), ("val", "first"))
    )
    torch.manual_seed(0)
    return Toy(StoryGenerator.from_config(config), train, val)
