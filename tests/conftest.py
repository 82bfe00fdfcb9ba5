"""The story world and its tiny models, built once per test run (`tests/world.py`).

Under test, and there alone, the shapes and types that signatures name are checked at every call.
"""

import os
import shutil

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

# Machines are busy, and what a property test shares between its examples it leaves as it was.
settings.register_profile(
    "tests", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("tests")

ROOT = Path(__file__).parents[1]
WITH_SHAPES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "pipeline").rglob("*.py"))
    if "from jaxtyping import" in path.read_text()
]
install_import_hook(WITH_SHAPES, "beartype.beartype")


@pytest.fixture(scope="session", autouse=True)
def _torch_threads() -> None:
    """As many as stage processes that tests start will have: one, if nothing else is asked for."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture(scope="session", autouse=True)
def _session_storycache_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What outlives a test has caches of its own too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORYCACHE_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(autouse=True)
def _own_storycache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own caches."""
    monkeypatch.setenv("STORYCACHE_HOME", str(tmp_path / "storycache-home"))


@pytest.fixture
def refuse_packing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """`refuse_packing(dtype, ...)` gives PyTorch's packed products up for these dtypes, in its own
    words, as a processor without kernels for them does."""
    import torch

    from pipeline.compute.packed_linear import can_pack

    pack = torch.ops.mkldnn._reorder_linear_weight

    def refuse(*dtypes: torch.dtype) -> None:
        def packs_others(weight: torch.Tensor) -> torch.Tensor:
            if weight.dtype in dtypes:
                raise RuntimeError("mkldnn_reorder_linear_weight: needs the cpu support avx512bw")
            return pack(weight)

        monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", packs_others)
        can_pack.cache_clear()

    yield refuse
    monkeypatch.undo()
    can_pack.cache_clear()


# The builders are imported where they are needed: after the hook above, and not by tests of what
# needs no torch.


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory):
    """Folder of a random CLIPModel: 2 layers, width 32, images of 32 pixels, D = 24, 77 tokens."""
    from tests.backbones import build_tiny_clip

    return build_tiny_clip(tmp_path_factory.mktemp("backbones") / "clip", seed=0)


@pytest.fixture(scope="session")
def tiny_judge(tmp_path_factory):
    """Folder of another random CLIPModel, as `tiny_clip` but with D = 16."""
    from tests.backbones import build_tiny_clip

    return build_tiny_clip(tmp_path_factory.mktemp("backbones") / "judge", 1, projection_dim=16)


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory):
    """Folder of a random GPT2LMHeadModel: 2 layers, n_embd 32, n_positions 512, own eos and pad."""
    from tests.backbones import build_tiny_gpt2

    return build_tiny_gpt2(tmp_path_factory.mktemp("backbones") / "gpt2", seed=0)


@pytest.fixture
def clip_copy(tiny_clip, tmp_path):
    """The tiny CLIP in a folder that a test may change."""
    return Path(shutil.copytree(tiny_clip, tmp_path / "clip-copy"))


@pytest.fixture(scope="session")
def world(tiny_clip, tmp_path_factory):
    """`World`: 40 stories of 6 frames whose pictures foretell the next caption."""
    from tests.world import foretelling_world, load_clip

    return foretelling_world(tmp_path_factory.mktemp("world"), load_clip(tiny_clip))


@pytest.fixture
def toy(world, tiny_gpt2, request):
    """`Toy` on that world; tuned unless parametrised by `frozen`: a random LM cannot be steered."""
    from tests.world import make_toy

    return make_toy(world, tiny_gpt2, getattr(request, "param", "full"))


@pytest.fixture(scope="session")
def model(tiny_clip, tiny_gpt2, tmp_path_factory):
    """A model folder of random weights that reads two frames."""
    from pipeline.params import GenerateParams
    from tests.world import load_clip, save_model, tiny_config, tiny_generator

    return save_model(
        tmp_path_factory.mktemp("model") / "final",
        load_clip(tiny_clip),
        tiny_generator(tiny_config(tiny_gpt2)),
        generate=GenerateParams(max_new_tokens=12, batch_size=4).model_dump(),
    )


@pytest.fixture(scope="session")
def teller(model):
    """That model in use: a `Storyteller`."""
    from pipeline.predict.storyteller import Storyteller

    return Storyteller.from_pretrained(model)
