"""Models by their names on the Hub: from its cache alone, and from a Hub on this machine."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import close_session, constants
from ruamel.yaml import YAML

from pipeline.common.errors import UserError
from pipeline.pretrained.folder import find_pretrained
from tests.hub_server import PullRequest, Repository, serving
from tests.pretrained.layouts import copied, in_hub_cache
from tests.processes import python

ROOT = Path(__file__).parents[2]
MAIN, CONVERTED, FOREIGN = "a" * 40, "b" * 40, "c" * 40
TITLE = "Adding `safetensors` variant of this model"


@pytest.fixture
def online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Points the Hub's client at a server, or takes its network away; its cache is the test's."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def to(url: str | None) -> None:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", url is None)
        address = url or "http://127.0.0.1:1"
        template = "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + template)
        close_session()

    return to


def found(model: str | Path) -> tuple[list[str], str]:
    """File names of a model's weights, and its digest."""
    folder = find_pretrained("decoder.model", str(model), None)
    return [file.name for file in folder.weights], folder.digest()


def files_of(folder: Path) -> dict[str, bytes]:
    others = ("tf_model.h5", "flax_model.msgpack", "rust_model.ot", "onnx/config.json")
    return {file.name: file.read_bytes() for file in folder.iterdir()} | dict.fromkeys(others, b"x")


RECIPE = """
import json
import numpy as np
import torch
from transformers import AutoModelForCausalLM
from pipeline.clip.frozen import FrozenClip
from pipeline.params import load_params
from pipeline.pretrained.folder import find_pretrained
from pipeline.pretrained.loading import load_pretrained
from pipeline.pretrained.tokenizer import load_tokenizer

params = load_params()
made = {}
for key, model in (("clip.model", params.clip.model), ("evaluate.judge", params.evaluate.judge)):
    clip = FrozenClip.load(model, params.clip.revision, "float32", parameter=key)
    made[key] = {
        "fingerprints": [clip.fingerprint("image"), clip.fingerprint("text")],
        "text": clip.encode_texts(["She runs."])[0].tolist(),
        "image": clip.encode_images(np.zeros((1, 3, 32, 32), np.uint8))[0].tolist(),
    }
folder = find_pretrained("decoder.model", params.decoder.model, params.decoder.revision)
lm = load_pretrained(AutoModelForCausalLM, folder, torch.float32)
tokenizer = load_tokenizer(folder, lm.get_input_embeddings().num_embeddings)
ids = torch.tensor([tokenizer("She runs.")["input_ids"]])
made["decoder.model"] = {"digest": folder.digest(), "logits": lm(ids).logits[0, -1].tolist()}
print(json.dumps(made))
"""


def test_the_recipe_of_the_readme_runs_on_the_layout_of_the_hub(
    tmp_path: Path, tiny_clip: Path, tiny_judge: Path, tiny_gpt2: Path
) -> None:
    """Its very keys, without a network, on tiny weights where the Hub's client keeps the models'
    main branches; and the same numbers as from local folders in safetensors."""
    recipe = YAML(typ="safe").load(_yaml_of_the_recipe())
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    for group, keys in recipe.items():
        params[group].update(keys)
    chosen = {
        ("clip", "model"): (tiny_clip, "bin"),
        ("evaluate", "judge"): (tiny_judge, "both"),
        ("decoder", "model"): (tiny_gpt2, "legacy"),
    }
    for number, ((group, key), (folder, weights)) in enumerate(chosen.items()):
        kept = copied(folder, tmp_path / group, weights=weights)
        in_hub_cache(tmp_path / "hub", recipe[group][key], kept, f"{number}" * 40)
    YAML().dump(params, tmp_path / "params.yaml")
    by_name = _run_recipe(tmp_path)
    for (group, key), (folder, _) in chosen.items():
        params[group][key] = str(folder)
    YAML().dump(params, tmp_path / "params.yaml")
    assert _run_recipe(tmp_path) == by_name


def _run_recipe(folder: Path) -> dict[str, Any]:
    """What the recipe's models make of one caption and one image, in a process of its own."""
    settings = {"HF_HUB_CACHE": str(folder / "hub"), "HF_HUB_OFFLINE": "1"}
    done = python("-c", RECIPE, cwd=folder, **settings)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def _yaml_of_the_recipe() -> str:
    """The block of settings in README under `The real dataset`."""
    readme = (ROOT / "README.md").read_text()
    blocks = [part.split("```")[0] for part in readme.split("```yaml\n")[1:]]
    return next(block for block in blocks if "openai/clip-vit-base-patch32" in block)


@pytest.mark.parametrize("weights", ["bin", "legacy", "both", "bin shards", "safetensors shards"])
def test_the_same_weights_have_one_digest_in_every_layout(
    tmp_path: Path, tiny_gpt2: Path, online: Callable[[str | None], None], weights: str
) -> None:
    online(None)
    kept = copied(tiny_gpt2, tmp_path / "model", weights=weights)
    in_hub_cache(tmp_path / "hub", "gpt2", kept, MAIN)
    assert found("gpt2")[1] == found(kept)[1] == found(tiny_gpt2)[1]


def test_only_what_is_needed_is_fetched(
    tmp_path: Path, tiny_gpt2: Path, online: Callable[[str | None], None]
) -> None:
    kept = copied(tiny_gpt2, tmp_path / "model", weights="both")
    with serving({"gpt2": Repository({MAIN: files_of(kept)}, MAIN)}) as hub:
        online(hub.url)
        first = found("gpt2")
        assert first[0] == ["model.safetensors"]
        assert set(hub.fetched) == {file.name for file in tiny_gpt2.iterdir()}
    online(None)
    assert found("gpt2") == first


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_shards_are_fetched_by_their_index(
    tmp_path: Path, tiny_gpt2: Path, online: Callable[[str | None], None], kind: str
) -> None:
    kept = copied(tiny_gpt2, tmp_path / "model", weights=f"{kind} shards")
    with serving({"a/b": Repository({MAIN: files_of(kept)}, MAIN)}) as hub:
        online(hub.url)
        names, digest = found("a/b")
    assert len(names) == 2 and all(name.endswith(kind) for name in names)
    assert digest == found(tiny_gpt2)[1]


def test_the_conversion_of_the_hubs_own_bot_is_taken_where_main_has_none(
    tmp_path: Path, tiny_gpt2: Path, online: Callable[[str | None], None]
) -> None:
    main = files_of(copied(tiny_gpt2, tmp_path / "main", weights="bin"))
    converted = files_of(copied(tiny_gpt2, tmp_path / "converted", weights="both"))
    pulls = [
        PullRequest(3, TITLE, "someone", FOREIGN, MAIN),
        PullRequest(15, TITLE, "SFconvertbot", CONVERTED, MAIN),
    ]
    foreign = {**main, "model.safetensors": b"not of the bot"}
    commits = {MAIN: main, CONVERTED: converted, FOREIGN: foreign}
    with serving({"a/b": Repository(commits, MAIN, pulls)}) as hub:
        online(hub.url)
        first = found("a/b")
        assert first == (["model.safetensors"], found(tiny_gpt2)[1])
        assert "pytorch_model.bin" not in hub.fetched
    online(None)
    assert found("a/b") == first  # later, without a network


@pytest.mark.parametrize("pull", ["none", "of an older commit", "by someone else"])
def test_without_a_conversion_of_this_commit_the_tensors_of_torch_are_taken(
    tmp_path: Path, tiny_gpt2: Path, online: Callable[[str | None], None], pull: str
) -> None:
    main = files_of(copied(tiny_gpt2, tmp_path / "main", weights="bin"))
    author = "someone" if pull == "by someone else" else "SFconvertbot"
    parent = "d" * 40 if pull == "of an older commit" else MAIN
    pulls = [] if pull == "none" else [PullRequest(15, TITLE, author, CONVERTED, parent)]
    commits = {MAIN: main, CONVERTED: {**main, "model.safetensors": b"other weights"}}
    with serving({"a/b": Repository(commits, MAIN, pulls)}) as hub:
        online(hub.url)
        first = found("a/b")
        assert first == (["pytorch_model.bin"], found(tiny_gpt2)[1])
        assert "model.safetensors" not in hub.fetched
    online(None)
    assert found("a/b") == first


def test_what_is_not_there_is_said(
    tmp_path: Path, tiny_gpt2: Path, online: Callable[[str | None], None]
) -> None:
    bare = {name: data for name, data in files_of(tiny_gpt2).items() if "model.safe" not in name}
    with serving({"a/b": Repository({MAIN: bare}, MAIN)}) as hub:
        online(hub.url)
        with pytest.raises(UserError, match=r"neither model.safetensors nor pytorch_model.bin"):
            found("a/b")
        with pytest.raises(UserError, match=r"decoder.model 'a/c' is no folder here"):
            found("a/c")
        with pytest.raises(UserError, match=r"has no revision v2"):
            find_pretrained("decoder.model", "a/b", "v2")
    online(None)
    with pytest.raises(UserError, match=r"network"):
        found("a/d")
