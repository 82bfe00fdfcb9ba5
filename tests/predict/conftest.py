"""A random model over the tiny backbones, in a folder, and a story for it."""

from pathlib import Path

import pytest
import torch

from pipeline.clip.frozen import FrozenClip
from pipeline.model.config import Encoder, GeneratorConfig
from pipeline.model.folder import save_generator
from pipeline.model.generator import StoryGenerator
from pipeline.params import DecoderParams, FusionParams, PromptParams
from pipeline.predict.storyteller import Storyteller
from tests.conftest import jpeg

K = 2
CAPTIONS = ["Mara opens the door.", "Tom pours the tea in the kitchen."]


@pytest.fixture(scope="session")
def model(tiny_clip: Path, tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, as the train stage writes it."""
    clip = FrozenClip.load(str(tiny_clip), precision="float32")
    config = GeneratorConfig(
        k=K,
        dim_image=clip.dim,
        dim_text=clip.dim,
        fusion=FusionParams(d_model=32, layers=1, heads=2),
        decoder=DecoderParams(model=str(tiny_gpt2), n_prefix=2),
        prompt=PromptParams(words_per_caption=5, max_target_tokens=32, max_sequence_tokens=128),
    )
    torch.manual_seed(0)
    attributes = [
        clip.settings(modality) | {"fingerprint": clip.fingerprint(modality)}
        for modality in ("image", "text")
    ]
    folder = tmp_path_factory.mktemp("model") / "final"
    params = {"generate": {"max_new_tokens": 12, "batch_size": 4}}
    save_generator(folder, StoryGenerator.from_config(config), params, Encoder.of(*attributes))
    return folder


@pytest.fixture(scope="session")
def teller(model: Path) -> Storyteller:
    return Storyteller.from_pretrained(model)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three pictures as files."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{number}.jpg" for number in range(3)]
    for seed, path in enumerate(paths):
        path.write_bytes(jpeg(seed))
    return paths
