"""The baselines compute what the pipeline computes, so that ratios compare like with like."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.baselines import OnTheFly, PlainClip, Window, bare_clip, bare_images, one_at_a_time
from pipeline.captioning.generate import generate_captions
from pipeline.clip.frozen import FrozenClip
from pipeline.dataset.loaded import Batch, Ragged
from pipeline.dataset.story_dataset import Contexts
from pipeline.model.config import GeneratorConfig
from pipeline.model.generator import StoryGenerator
from pipeline.model.language_model import load_prompts
from pipeline.model.prompt import PromptBuilder
from pipeline.params import GenerateParams, LossParams, load_params
from pipeline.training.supervised import SupervisedObjective
from tests.world import jpeg

CPU = torch.device("cpu")
K, DIM, STORIES = 2, 24, 2
SAID = ["The lamp is lit.", "Mara opens the door by the river.", "Tom hides the red box."]


@pytest.fixture(scope="module")
def clip(tiny_clip: Path) -> FrozenClip:
    return FrozenClip.load(str(tiny_clip), precision="float32", batch_size=4)


@pytest.fixture(scope="module")
def plain(tiny_clip: Path) -> PlainClip:
    return PlainClip(tiny_clip, CPU)


@pytest.fixture(scope="module")
def windows() -> list[Window]:
    return [
        Window(
            [jpeg(10 * story + i) for i in range(K + 1)],
            [f"{text} {story}" for text in SAID[story:] + SAID[:story]],
        )
        for story in range(STORIES)
    ]


@pytest.fixture(scope="module")
def generator(tiny_gpt2: Path) -> StoryGenerator:
    shipped = load_params()
    config = GeneratorConfig(
        k=K,
        dim_image=DIM,
        dim_text=DIM,
        fusion=shipped.fusion.model_copy(update={"d_model": 32, "dropout": 0.0}),
        decoder=shipped.decoder.model_copy(update={"model": str(tiny_gpt2)}),
        prompt=shipped.prompt,
    )
    torch.manual_seed(0)
    return StoryGenerator.from_config(config).eval()


@pytest.fixture(scope="module")
def prompts(generator: StoryGenerator) -> PromptBuilder:
    return load_prompts(generator.config)


def embedded(clip: FrozenClip, windows: list[Window]) -> tuple[torch.Tensor, torch.Tensor]:
    images = clip.encode_images(np.stack([clip.preprocess(i) for w in windows for i in w.images]))
    texts = clip.encode_texts([text for window in windows for text in window.captions])
    return tuple(torch.from_numpy(x).view(len(windows), K + 1, DIM) for x in (images, texts))  # type: ignore[return-value]


def test_clip(clip: FrozenClip, plain: PlainClip, tiny_clip: Path, windows: list[Window]) -> None:
    data = windows[0].images
    pixels = np.stack([clip.preprocess(image) for image in data])
    ours = clip.encode_images(pixels)
    np.testing.assert_allclose(plain.images(data).numpy(), ours, atol=2e-6)
    values = plain.pixel_values(data)
    bare = bare_images(bare_clip(tiny_clip, "float32", CPU), values, batch_size=2)
    np.testing.assert_allclose(bare / np.linalg.norm(bare, axis=1, keepdims=True), ours, atol=2e-6)
    np.testing.assert_allclose(plain.texts(SAID).numpy(), clip.encode_texts(SAID), atol=2e-6)


def test_training_on_the_fly(
    clip: FrozenClip,
    plain: PlainClip,
    windows: list[Window],
    generator: StoryGenerator,
    prompts: PromptBuilder,
) -> None:
    loss = LossParams.model_validate({"alpha": 0.5, "lambda": 0.25})
    published = OnTheFly(generator, prompts, plain, loss, load_params().train)
    images, texts = embedded(clip, windows)
    pairs = [prompts.example_ids(w.captions[:-1], w.captions[-1]) for w in windows]
    rows = torch.arange(STORIES)
    batch: Batch = {"rows": rows, "target_image_id": rows, "target_text_id": rows}
    batch |= {"images": images[:, :-1], "target_image": images[:, -1]}
    batch |= {"texts": texts[:, :-1], "target_text": texts[:, -1]}
    for name, part in (("prompt", 0), ("target", 1)):
        ids, mask = Ragged.of([pair[part] for pair in pairs], CPU).pad(rows)
        batch |= {f"{name}_ids": ids, f"{name}_mask": mask}
    ours = SupervisedObjective(generator, loss)(batch)["loss"]
    torch.testing.assert_close(published.loss(windows), ours, rtol=1e-4, atol=1e-4)


def test_one_caption_at_a_time(
    clip: FrozenClip, windows: list[Window], generator: StoryGenerator, prompts: PromptBuilder
) -> None:
    images, texts = (part[:, :-1].numpy() for part in embedded(clip, windows))
    captions = [window.captions[:-1] for window in windows]
    contexts = Contexts(["a", "b"], images, texts, captions, [b"a" * 32, b"b" * 32])
    params = load_params().generate
    params = GenerateParams.model_validate(params.model_dump() | {"max_new_tokens": 12})
    ours = generate_captions(generator, prompts, contexts, params, [0] * STORIES)
    assert one_at_a_time(generator, prompts, contexts, 12) == [caption.text for caption in ours]
    assert all(caption.text for caption in ours)
