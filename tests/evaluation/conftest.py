"""A tiny evaluated world: real features of random CLIP, an untrained generator, a few stories."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from pipeline.clip.frozen import FrozenClip
from pipeline.evaluation.evaluate import Subject, evaluate
from pipeline.evaluation.judge import Judge
from pipeline.evaluation.scorer import CaptionScorer
from pipeline.features.store import FeatureStore, key_array, write_shard
from pipeline.model.config import GeneratorConfig
from pipeline.model.generator import StoryGenerator
from pipeline.model.language_model import load_prompts
from pipeline.params import (
    DecoderParams,
    FusionParams,
    GenerateParams,
    LossParams,
    PromptParams,
)
from pipeline.stories.frames import FRAMES_SCHEMA, content_key

K = 3
WORDS = (
    "Mara Tom the a old red lamp letter garden river station train tea night box lantern key "
    "opens carries hides looks runs waits pours walks is not lit beside under behind again"
).split()


@dataclass
class World:
    """Stories `s0`, `s1`, ... of five frames, and everything that `evaluate` asks for."""

    frames: pa.Table
    frames_path: Path
    raw: Path
    images: FeatureStore
    texts: FeatureStore
    clip: FrozenClip
    judge: FrozenClip
    subject: Subject

    def evaluate(
        self, out: Path, val: list[str], test: list[str], **changes: Any
    ) -> dict[str, dict[str, float]]:
        subject = Subject(**(vars(self.subject) | changes))
        splits = {"train": ["s0"], "val": val, "test": test}
        return evaluate(
            subject, self.frames_path, splits, self.images, self.texts, out / "eval", out / "m.json"
        )


def settings(**changes: Any) -> GenerateParams:
    return GenerateParams(**{"max_new_tokens": 12, "batch_size": 4} | changes)


@pytest.fixture(scope="session", autouse=True)
def _session_storycache_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fixtures that outlive a test have an encode cache of their own too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORYCACHE_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def picture(random: np.random.Generator) -> bytes:
    """A small PNG of coloured noise."""
    buffer = io.BytesIO()
    Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def world(
    tiny_clip: Path, tiny_gpt2: Path, tiny_judge: Path, tmp_path_factory: pytest.TempPathFactory
) -> World:
    """Image embeddings are the caption's text embedding plus noise, as if CLIP were a good one."""
    folder = tmp_path_factory.mktemp("features")
    random = np.random.default_rng(0)
    rows = []
    pictures = [[picture(random) for _ in range(5)] for _ in range(12)]
    raw = folder / "raw"
    (raw / "test").mkdir(parents=True)
    images_column = [[{"bytes": data, "path": None} for data in story] for story in pictures]
    raw_schema = pa.schema(
        [("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())])))]
    )
    pq.write_table(
        pa.table({"images": images_column}, schema=raw_schema), raw / "test/00000.parquet"
    )
    for story in range(12):
        for index in range(5):
            caption = " ".join(random.choice(WORDS, size=random.integers(4, 30)))
            rows.append(
                {
                    "split": "test",
                    "story_id": f"s{story}",
                    "frame_index": index,
                    "n_frames": 5,
                    "caption": caption,
                    "image_file": "test/00000.parquet",
                    "image_row": story,
                    "image_index": index,
                    "image_key": content_key(pictures[story][index]),
                    "caption_key": content_key(caption.encode()),
                }
            )
    frames = pa.Table.from_pylist(rows, schema=FRAMES_SCHEMA)
    pq.write_table(frames, folder / "frames.parquet")
    clip = FrozenClip.load(str(tiny_clip), precision="float32")
    judge = FrozenClip.load(str(tiny_judge), precision="float32")
    texts = clip.encode_texts(frames.column("caption").to_pylist())
    noisy = texts + random.normal(size=texts.shape) * 0.02
    noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
    for modality, embeddings in (("image", noisy), ("text", texts)):
        key = key_array(frames.column("image_key" if modality == "image" else "caption_key"))
        attributes = clip.settings(modality) | {"fingerprint": clip.fingerprint(modality)}
        write_shard(folder / modality / "00000.h5", key, embeddings, attributes)
    config = GeneratorConfig(
        k=K,
        dim_image=clip.dim,
        dim_text=clip.dim,
        fusion=FusionParams(d_model=32, layers=1, heads=2),
        decoder=DecoderParams(model=str(tiny_gpt2), n_prefix=2),
        prompt=PromptParams(words_per_caption=8, max_target_tokens=40, max_sequence_tokens=200),
    )
    torch.manual_seed(0)
    generator = StoryGenerator.from_config(config).eval()
    with torch.no_grad():  # louder, so that prefixes differ in what they make the decoder say
        for parameter in generator.decoder.lm.parameters():
            if parameter.dim() > 1:
                parameter.mul_(6.0)
        generator.decoder.word_scale.mul_(6.0)
    subject = Subject(
        generator=generator,
        prompts=load_prompts(config),
        scorer=CaptionScorer(clip, ""),
        judge=Judge(judge, "", raw),
        discriminator=None,
        generate=settings(),
        loss=LossParams(**{"lambda": 0.25}),
        loss_batch_size=3,
        seed=0,
    )
    images, stored = FeatureStore.open(folder / "image"), FeatureStore.open(folder / "text")
    return World(frames, folder / "frames.parquet", raw, images, stored, clip, judge, subject)


@pytest.fixture(scope="session")
def generate_settings() -> Callable[..., GenerateParams]:
    return settings
