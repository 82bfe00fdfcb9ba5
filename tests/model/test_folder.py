"""The model folder: round trip, bytes, errors."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from pipeline.common.checksums import write_sums
from pipeline.common.errors import UserError
from pipeline.model.config import Encoder, GeneratorConfig, Trained
from pipeline.model.folder import load_generator, save_generator
from pipeline.model.generator import StoryGenerator
from pipeline.model.layout import copy_model
from tests.damage import damaged

CPU = torch.device("cpu")
ENCODER = Encoder(
    model="clip",
    revision=None,
    precision="float32",
    image_fit="crop",
    text_overflow="truncate",
    max_words=None,
    image_fingerprint="a",
    text_fingerprint="b",
)


def test_config_round_trip(make_config: Callable[..., GeneratorConfig], tmp_path: Path) -> None:
    config = make_config(fusion={"position_embeddings": False}, decoder={"tune": "full"})
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
    generator = StoryGenerator.from_config(make_config(decoder={"tune": tune})).eval()
    with torch.no_grad():  # away from anything that initialisation or the LM's files would give
        for parameter in generator.trainable().values():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_generator(tmp_path / "model", generator, {"seed": 7}, ENCODER)
    torch.manual_seed(1)
    loaded = load_generator(tmp_path / "model", CPU, dims=(12, 10))
    assert not loaded.training and loaded.config == generator.config
    encoded, again = generator.encode(*contexts), loaded.encode(*contexts)
    for a, b in zip(encoded, again, strict=True):
        assert torch.equal(a, b)
    assert torch.equal(
        generator.caption_nll(encoded.prefix, tokens), loaded.caption_nll(again.prefix, tokens)
    )


def test_what_is_written(generator: StoryGenerator, tmp_path: Path) -> None:
    save_generator(tmp_path / "a", generator, {"seed": 7}, ENCODER)
    save_generator(tmp_path / "a", generator, {"seed": 7}, ENCODER)  # over an older one
    save_generator(tmp_path / "b", generator, {"seed": 7}, ENCODER)
    names = ["SHA256SUMS", "config.json", "encoder.json", "model.safetensors", "params.json"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == names
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert json.loads((tmp_path / "a" / "params.json").read_text()) == {"seed": 7}
    weights = load_file(tmp_path / "a" / "model.safetensors")
    assert set(weights) == set(generator.trainable())
    assert not any(name.startswith("decoder.lm.") for name in weights)


@settings(max_examples=60)
@given(data=st.data())
def test_any_damage_is_one_sentence(
    generator: StoryGenerator, tmp_path: Path, data: st.DataObject
) -> None:
    folder = tmp_path / "model"
    save_generator(folder, generator, {"seed": 7}, ENCODER)
    name = data.draw(st.sampled_from(sorted(path.name for path in folder.iterdir())))
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(data.draw(damaged(whole)))
    if (folder / name).read_bytes() == whole:
        return
    for use in (
        lambda: load_generator(folder, CPU),
        lambda: copy_model(folder, tmp_path / "copy", {}),
    ):
        with pytest.raises(UserError, match="dvc repro") as raised:
            use()
        assert "\n" not in str(raised.value)
    assert not (tmp_path / "copy").exists()


def rewrite(path: Path, data: bytes) -> None:
    """Put other bytes there as if they had been written so."""
    path.write_bytes(data)
    write_sums(path.parent)


def test_errors_are_sentences(generator: StoryGenerator, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with pytest.raises(UserError, match=r"config\.json is missing; run dvc repro"):
        load_generator(folder, CPU)
    save_generator(folder, generator, {}, ENCODER)
    with pytest.raises(UserError, match=r"widths \(12, 10\), but .* have \(24, 24\)"):
        load_generator(folder, CPU, dims=(24, 24))
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    rewrite(weights, whole[:1000])
    with pytest.raises(UserError, match="is broken"):
        load_generator(folder, CPU)
    config = json.loads((folder / "config.json").read_text())
    config["decoder"]["model"] = str(tmp_path / "gone")
    rewrite(weights, whole)
    rewrite(folder / "config.json", json.dumps(config).encode())
    with pytest.raises(UserError, match=r"gone.* is no folder here"):
        load_generator(folder, CPU)
    del config["k"]
    for content, said in ((config, "k: Field required"), ([], "the whole file: Input should be")):
        rewrite(folder / "config.json", json.dumps(content).encode())
        with pytest.raises(UserError, match=said):
            load_generator(folder, CPU)


@pytest.mark.parametrize(
    ("name", "stage"), [("baseline", " train"), ("final", " adversarial"), ("mine", "")]
)
def test_the_stage_that_makes_a_folder_is_named(
    generator: StoryGenerator, tmp_path: Path, name: str, stage: str
) -> None:
    folder = tmp_path / name
    with pytest.raises(UserError, match=f"is missing; run dvc repro{stage}$"):
        load_generator(folder, CPU)
    save_generator(folder, generator, {}, ENCODER)
    (folder / "config.json").write_text("{}")
    with pytest.raises(UserError, match=f"delete {folder} and run dvc repro{stage}$"):
        load_generator(folder, CPU)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match=f"SHA256SUMS is missing; run dvc repro{stage}$"):
        copy_model(folder, tmp_path / "copy", {})
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    "content",
    ["null", "[]", "{}", '{"loss": null, "train": 1}', '{"loss": {"alpha": 1}, "train": {}}', "1"],
)
def test_params_of_the_wrong_shape_are_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "params.json").write_text(content)
    with pytest.raises(UserError, match=r"params\.json.*run dvc repro$") as raised:
        Trained.read(tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("edited", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_decoder_that_was_edited_in_place_is_noticed(
    make_config: Callable[..., GeneratorConfig], tiny_gpt2: Path, tmp_path: Path, edited: str
) -> None:
    """Its folder is still the one that config.json names, but the prefix was made for another."""
    decoder = shutil.copytree(tiny_gpt2, tmp_path / "decoder")
    generator = StoryGenerator.from_config(make_config(decoder={"model": str(decoder)}))
    save_generator(tmp_path / "model", generator, {}, ENCODER)
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
    assert str(decoder) in str(raised.value)
    # Training anew is not refused, takes up no old checkpoint, and may be loaded again.
    again = StoryGenerator.from_config(make_config(decoder={"model": str(decoder)}))
    assert again.fingerprint() != generator.fingerprint()
    save_generator(tmp_path / "model", again, {}, ENCODER)
    load_generator(tmp_path / "model", CPU)
    (decoder / edited).write_bytes(before)
    with pytest.raises(UserError, match="not the ones any more"):
        load_generator(tmp_path / "model", CPU)
