"""The one story world of the tests, built by hand in real files, as the stages leave them.

`write_world` writes stories with pictures: raw files, table of frames and splits. `write_features`
adds what CLIP makes of them, or vectors that a test plants there. `tiny_config`, `tiny_generator`
and `save_model` make models for it.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pipeline.clip.frozen import FrozenClip
from pipeline.common.keys import as_keys
from pipeline.common.stage import Inputs
from pipeline.dataset.loaded import LoadedDataset
from pipeline.dataset.story_dataset import Stories
from pipeline.features.store import write_shard
from pipeline.model.config import Encoder, GeneratorConfig
from pipeline.model.folder import save_generator
from pipeline.model.generator import StoryGenerator
from pipeline.model.language_model import load_prompts
from pipeline.params import DecoderParams, FusionParams, PromptParams
from pipeline.prepare.annotations import annotations
from pipeline.stories.annotations import writing_annotations
from pipeline.stories.frames import content_key, writing_frames
from pipeline.stories.schema import write_stories
from tests.stories.story_rows import story_row

DIM = 24
"""Width of the tiny CLIP's embeddings."""
WORDS = ["lamp", "river", "train", "key"]

Frames = Sequence[tuple[bytes, str]]
"""Pictures and captions of a story."""


def jpeg(seed: int, width: int = 80, height: int = 48) -> bytes:
    """A smooth random picture, so that resampling and JPEG behave as on photographs."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 10, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(
        stream, "JPEG", quality=90
    )
    return stream.getvalue()


@dataclass(frozen=True)
class World(Inputs):
    """The files of a run up to the features, and the frames in them, in the table's order."""

    annotations: Path
    raw: Path
    pictures: list[bytes]
    captions: list[str]


def write_world(
    folder: Path,
    train: Mapping[str, Frames] | None = None,
    test: Mapping[str, Frames] | None = None,
    splits: Mapping[str, Sequence[str]] | None = None,
    **how: Any,
) -> World:
    """Write stories of the dataset's splits `train` and `test` into `folder`.

    Args:
        splits: story ids of `train`, `val` and `test`; all stories train by default.
        how: of `write_stories`, for raw files of another shape.
    """
    every = [frame for stories in (train, test) for f in (stories or {}).values() for frame in f]
    world = World(
        folder / "stories/frames.parquet",
        folder / "stories/splits.json",
        folder / "features/image",
        folder / "features/text",
        folder / "stories/annotations.parquet",
        folder / "raw",
        [picture for picture, _ in every],
        [caption for _, caption in every],
    )
    with writing_frames(world.frames) as table, writing_annotations(world.annotations) as notes:
        for split, stories in (("train", train or {}), ("test", test or {})):
            rows = (_raw(name, frames) for name, frames in stories.items())
            write_stories(rows, world.raw / split, **how)
            for row, (name, frames) in enumerate(stories.items()):
                table.add([_row(split, name, frames, row, i) for i in range(len(frames))])
                captions = [caption for _, caption in frames]
                raw = _raw(name, frames)
                notes.add(annotations(name, captions, raw["story"], raw["chain_of_thought"]))
    everything = {"train": [*(train or {}), *(test or {})], "val": [], "test": []}
    world.splits.write_text(json.dumps(everything if splits is None else splits))
    return world


def _raw(name: str, frames: Frames) -> dict[str, Any]:
    """A story as a row of the raw files."""
    images = [{"bytes": picture, "path": f"{i}.jpg"} for i, (picture, _) in enumerate(frames)]
    text = "".join(f"<gdi image{i}>{caption}</gdi>" for i, (_, caption) in enumerate(frames, 1))
    return story_row(name, len(frames), images=images, story=text)


def _row(split: str, name: str, frames: Frames, row: int, index: int) -> dict[str, Any]:
    """A frame as a row of the table."""
    picture, caption = frames[index]
    return {
        "split": split,
        "story_id": name,
        "frame_index": index,
        "n_frames": len(frames),
        "caption": caption,
        "image_file": f"{split}/00000.parquet",
        "image_row": row,
        "image_index": index,
        "image_key": content_key(picture),
        "caption_key": content_key(caption.encode()),
    }


def encoder(clip: FrozenClip) -> dict[str, dict[str, Any]]:
    """What `clip` says of itself, by modality, as feature shards keep it."""
    return {
        modality: clip.settings(modality) | {"fingerprint": clip.fingerprint(modality)}
        for modality in ("image", "text")
    }


def write_features(world: World, clip: FrozenClip, images: Any = None, texts: Any = None) -> None:
    """Write the features of all frames: `clip`'s own, or vectors [frames, D] in place of them."""
    if images is None:
        images = clip.encode_images(np.stack([clip.preprocess(data) for data in world.pictures]))
    if texts is None:
        texts = clip.encode_texts(world.captions)
    captions = [caption.encode() for caption in world.captions]
    for modality, folder, contents, vectors in (
        ("image", world.images, world.pictures, images),
        ("text", world.texts, captions, texts),
    ):
        distinct = dict(zip(contents, vectors, strict=True))
        stacked = np.array(list(distinct.values()))
        unit = stacked / np.linalg.norm(stacked, axis=1, keepdims=True)
        keys = as_keys([content_key(content) for content in distinct])
        write_shard(folder / "00000.h5", keys, unit, encoder(clip)[modality])


def load_clip(folder: Path) -> FrozenClip:
    """A CLIP as tests use it: in float32."""
    return FrozenClip.load(str(folder), precision="float32")


def foretelling_world(folder: Path, clip: FrozenClip) -> World:
    """40 stories of 6 frames, of four captions; a picture foretells the next caption's last word.

    The vectors are planted: a code for each word, and that of the next one with noise for pictures.
    """
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(len(WORDS), DIM))
    stories, images, texts = {}, [], []
    for number in range(40):
        plan = rng.integers(len(WORDS), size=7)
        captions = [f"They look at the {WORDS[word]}." for word in plan[:6]]
        stories[f"story-{number:02d}"] = [
            (jpeg(6 * number + i, 10, 6), caption) for i, caption in enumerate(captions)
        ]
        for i in range(6):
            images.append(codes[plan[i + 1]] + 0.1 * rng.normal(size=DIM))
            texts.append(codes[plan[i]])
    ids = list(stories)
    splits = {"train": ids[:30], "val": ids[30:35], "test": ids[35:]}
    world = write_world(folder, stories, splits=splits)
    write_features(world, clip, images, texts)
    return world


# --- models


def tiny_config(
    gpt2: Path,
    k: int = 2,
    dims: tuple[int, int] = (DIM, DIM),
    fusion: Mapping[str, Any] | None = None,
    decoder: Mapping[str, Any] | None = None,
    prompt: Mapping[str, Any] | None = None,
) -> GeneratorConfig:
    """A generator of width 32 over image and text embeddings of widths `dims`.

    `fusion`, `decoder` and `prompt` change settings of these groups.
    """
    return GeneratorConfig(
        k=k,
        dim_image=dims[0],
        dim_text=dims[1],
        fusion=FusionParams(**{"d_model": 32, "layers": 1, "heads": 2} | dict(fusion or {})),
        decoder=DecoderParams(
            **{"model": str(gpt2), "n_prefix": 2, "precision": "float32"} | dict(decoder or {})
        ),
        prompt=PromptParams(
            **{"words_per_caption": 5, "max_target_tokens": 40, "max_sequence_tokens": 256}
            | dict(prompt or {})
        ),
    )


def tiny_generator(config: GeneratorConfig, loudness: float = 1.0) -> StoryGenerator:
    """A random one; louder, stories differ more in what they make the language model say."""
    torch.manual_seed(0)
    generator = StoryGenerator.from_config(config)
    if loudness != 1.0:
        with torch.no_grad():
            for parameter in generator.decoder.lm.parameters():
                if parameter.dim() > 1:
                    parameter.mul_(loudness)
            generator.decoder.word_scale.mul_(loudness)
    return generator


def save_model(folder: Path, clip: FrozenClip, generator: StoryGenerator, **params: Any) -> Path:
    """A model folder, as the train stage writes it; `params` are groups of params.yaml."""
    save_generator(folder, generator, params, Encoder.of(*encoder(clip).values()))
    return folder


@dataclass(frozen=True)
class Toy:
    """A fresh generator and the windows that it trains and validates on."""

    generator: StoryGenerator
    train: LoadedDataset
    val: LoadedDataset


def make_toy(world: World, gpt2: Path, tune: str) -> Toy:
    """A generator that reads two frames of `world`: every two of train, the first two of val."""
    config = tiny_config(gpt2, decoder={"tune": tune})
    stories, prompts, cpu = Stories.open(world), load_prompts(config), torch.device("cpu")
    train, val = (
        LoadedDataset.of(stories.windows(split, config.k, mode), prompts, cpu)
        for split, mode in (("train", "sliding"), ("val", "first"))
    )
    return Toy(tiny_generator(config), train, val)
