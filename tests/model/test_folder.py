"""The model folder: round trip, bytes, errors."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.errors import UserError
from pipeline.model.config import GeneratorConfig
from pipeline.model.folder import load_generator, save_generator
from pipeline.model.generator import StoryGenerator

CPU = torch.device("cpu")


def test_config_round_trip(make_config: Callable[..., GeneratorConfig], tmp_path: Path) -> None:
    config = make_config(position_embeddings=False, tune="full")
    config.write(tmp_path / "config.json")
    assert GeneratorConfig.read(tmp_path / "config.json") == config


@pytest.mark.parametrize("tune", ["frozen", "full"])
def test_round_trip(
    make_config: Callable[..., GeneratorConfig],
    contexts: tuple[torch.Tensor, torch.Tensor],
    tokens: dict[str, torch.Tensor],
    tmp_path: Path,
    tune: str,
) -> None:
    torch.manual_seed(0)
    generator = StoryGenerator.from_config(make_config(tune=tune)).eval()
    with torch.no_grad():  # away from anything that initialisation or the LM's files would give
        for parameter in generator.trainable().values():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_generator(tmp_path / "model", generator, {"seed": 7})
    torch.manual_seed(1)
    loaded = load_generator(tmp_path / "model", CPU, dims=(12, 10))
    assert not loaded.training and loaded.config == generator.config
    encoded, again = generator.encode(*contexts), loaded.encode(*contexts)
    for a, b in zip(encoded, again, strict=True):
        assert torch.equal(a, b)
    assert torch.equal(
        generator.token_nll(encoded.prefix, **tokens), loaded.token_nll(again.prefix, **tokens)
    )


def test_what_is_written(generator: StoryGenerator, tmp_path: Path) -> None:
    save_generator(tmp_path / "a", generator, {"seed": 7})
    save_generator(tmp_path / "a", generator, {"seed": 7})  # over an older one
    save_generator(tmp_path / "b", generator, {"seed": 7})
    names = ["config.json", "model.safetensors", "params.json"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == names
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert json.loads((tmp_path / "a" / "params.json").read_text()) == {"seed": 7}
    weights = load_file(tmp_path / "a" / "model.safetensors")
    assert set(weights) == set(generator.trainable())
    assert not any(name.startswith("decoder.lm.") for name in weights)


def test_errors_are_sentences(generator: StoryGenerator, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with pytest.raises(UserError, match=r"config\.json is missing: run the train stage"):
        load_generator(folder, CPU)
    save_generator(folder, generator, {})
    with pytest.raises(UserError, match=r"widths \(12, 10\), but .* have \(24, 24\)"):
        load_generator(folder, CPU, dims=(24, 24))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="is broken"):
        load_generator(folder, CPU)
    config = json.loads((folder / "config.json").read_text())
    config["decoder"]["model"] = str(tmp_path / "gone")
    (folder / "config.json").write_text(json.dumps(config))
    save_generator(tmp_path / "other", generator, {})
    weights.write_bytes((tmp_path / "other" / "model.safetensors").read_bytes())
    with pytest.raises(UserError, match=r"gone.* is no folder here"):
        load_generator(folder, CPU)
    del config["k"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="k: Field required"):
        load_generator(folder, CPU)


@pytest.mark.parametrize("edited", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_decoder_that_was_edited_in_place_is_noticed(
    make_config: Callable[..., GeneratorConfig], tiny_gpt2: Path, tmp_path: Path, edited: str
) -> None:
    """Its folder is still the one that config.json names, but the prefix was made for another."""
    decoder = shutil.copytree(tiny_gpt2, tmp_path / "decoder")
    generator = StoryGenerator.from_config(make_config(model=str(decoder)))
    save_generator(tmp_path / "model", generator, {})
    load_generator(tmp_path / "model", CPU)
    before = (decoder / edited).read_bytes()
    if edited == "model.safetensors":
        weights = load_file(decoder / edited)
        weights["transformer.ln_f.bias"] += 1
        save_file(weights, decoder / edited, metadata={"format": "pt"})
    elif edited == "config.json":
        (decoder / edited).write_bytes(before.replace(b"gelu_new", b"relu"))
    else:
        tokenizer = json.loads(before)
        tokenizer["model"]["merges"].pop()
        (decoder / edited).write_text(json.dumps(tokenizer))
    assert (decoder / edited).read_bytes() != before
    with pytest.raises(UserError, match=r"not the ones any more .* dvc repro -f train") as raised:
        load_generator(tmp_path / "model", CPU)
    assert str(decoder) in str(raised.value) and len(str(raised.value)) <= 500
    # Training anew is not refused, takes up no old checkpoint, and may be loaded again.
    again = StoryGenerator.from_config(make_config(model=str(decoder)))
    assert again.fingerprint() != generator.fingerprint()
    save_generator(tmp_path / "model", again, {})
    load_generator(tmp_path / "model", CPU)
    (decoder / edited).write_bytes(before)
    with pytest.raises(UserError, match="not the ones any more"):
        load_generator(tmp_path / "model", CPU)
