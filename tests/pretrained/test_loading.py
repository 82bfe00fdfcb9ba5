"""Models that must not be loaded: each ends in one sentence about its folder."""

import json
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, CLIPModel

from pipeline.common.errors import UserError
from pipeline.pretrained.folder import find_pretrained
from pipeline.pretrained.loading import load_pretrained
from pipeline.pretrained.tokenizer import load_tokenizer
from tests.pretrained.layouts import BIN, SAFE, copied, write_shards

ROOT = Path(__file__).parents[2]
Edit = Callable[[dict[str, torch.Tensor]], object]


def load(folder: Path, model_class: Any = AutoModelForCausalLM) -> Any:
    found = find_pretrained("decoder.model", str(folder), None)
    return load_pretrained(model_class, found, torch.float32)


def refused(folder: Path, model_class: Any = AutoModelForCausalLM) -> str:
    """The sentence with which a folder is refused, seen to be one that people can read."""
    with pytest.raises(UserError) as caught:
        load(folder, model_class)
    sentence = str(caught.value)
    assert sentence.startswith(f"decoder.model {folder}: ")
    assert "\n" not in sentence and sentence.isprintable() and len(sentence) <= 500
    return sentence.removeprefix(f"decoder.model {folder}: ")


def edit_weights(folder: Path, edit: Edit) -> Path:
    weights = load_file(folder / SAFE)
    edit(weights)
    save_file(weights, folder / SAFE, metadata={"format": "pt"})
    return folder


def edit_json(file: Path, **changes: object) -> None:
    content = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({key: value for key, value in content.items() if value != "gone"}))


@pytest.fixture
def gpt2(tiny_gpt2: Path, tmp_path: Path) -> Path:
    """The tiny GPT-2 in a folder that a test may change."""
    return copied(tiny_gpt2, tmp_path / "gpt2")


@pytest.fixture
def clip(tiny_clip: Path, tmp_path: Path) -> Path:
    return copied(tiny_clip, tmp_path / "clip")


@pytest.mark.parametrize("weights", ["safetensors", "bin", "legacy", "both", "bin shards"])
def test_every_layout_loads_the_same_weights(tiny_gpt2: Path, tmp_path: Path, weights: str) -> None:
    plain = AutoModelForCausalLM.from_pretrained(tiny_gpt2, dtype=torch.float32).state_dict()
    ours = load(copied(tiny_gpt2, tmp_path / "model", weights=weights)).state_dict()
    assert list(ours) == list(plain)
    assert all(torch.equal(ours[name], plain[name]) for name in plain)


def test_weights_in_half_precision_have_another_digest_and_load_in_ours(gpt2: Path) -> None:
    before = find_pretrained("decoder.model", str(gpt2), None).digest()
    edit_weights(gpt2, lambda w: w.update({name: tensor.half() for name, tensor in w.items()}))
    assert find_pretrained("decoder.model", str(gpt2), None).digest() != before
    assert {p.dtype for p in load(gpt2).parameters()} == {torch.float32}


def test_the_digest_follows_what_counts_and_nothing_else(gpt2: Path) -> None:
    def digest() -> str:
        return find_pretrained("decoder.model", str(gpt2), None).digest()

    before = digest()
    edit_json(gpt2 / "config.json", transformers_version="9", dtype="float16", _name_or_path="x")
    (gpt2 / "README.md").write_text("A model.")
    assert digest() == before
    edit_json(gpt2 / "config.json", activation_function="relu")
    changed = digest()
    assert changed != before
    edit_json(gpt2 / "tokenizer_config.json", model_max_length=99)
    again = digest()
    assert again != changed
    edit_weights(gpt2, lambda w: w["transformer.wpe.weight"].mul_(2))
    assert digest() != again


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (["visual_projection.weight", "text_projection.weight"], "text_projection.weight, visual"),
        (["vision_model.encoder.layers.1.mlp.fc1.bias"], "vision_model.encoder.layers.1.mlp.fc1"),
        (["logit_scale"], "logit_scale"),
    ],
)
def test_a_clip_that_lacks_weights_is_refused_by_their_names(
    clip: Path, lost: list[str], said: str
) -> None:
    edit_weights(clip, lambda w: [w.pop(name) for name in lost])
    assert f"its weights lack {said}" in refused(clip, CLIPModel)


def test_a_language_model_without_a_layer_or_head_is_refused(gpt2: Path) -> None:
    edit_json(gpt2 / "config.json", n_layer=3)
    sentence = refused(gpt2)
    assert "its weights lack transformer.h.2" in sentence and "more" in sentence
    edit_json(gpt2 / "config.json", n_layer=2, tie_word_embeddings=False)
    edit_weights(gpt2, lambda w: w.pop("lm_head.weight", None))
    assert "lack lm_head.weight" in refused(gpt2)


def test_tied_weights_may_be_left_out(gpt2: Path) -> None:
    assert "lm_head.weight" not in load_file(gpt2 / SAFE)
    model = load(gpt2)
    assert model.lm_head.weight is model.transformer.wte.weight


def test_weights_that_the_config_has_no_place_for_are_refused(gpt2: Path) -> None:
    edit_json(gpt2 / "config.json", n_layer=1)
    assert "hold transformer.h.1" in refused(gpt2)
    edit_json(gpt2 / "config.json", n_layer=2)
    edit_weights(gpt2, lambda w: w.update(note=torch.zeros(3)))
    load(gpt2)  # one that nothing asks for does no harm


def test_a_width_that_is_not_the_configs_is_refused(gpt2: Path) -> None:
    edit_json(gpt2 / "config.json", n_embd=64)
    assert "by its config.json" in refused(gpt2)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_weight_that_is_not_finite_is_refused_by_its_name(
    gpt2: Path, value: float, dtype: torch.dtype
) -> None:
    edit_weights(gpt2, lambda w: w["transformer.h.1.mlp.c_fc.weight"][3, 5].fill_(value))
    edit_weights(gpt2, lambda w: w.update({name: tensor.to(dtype) for name, tensor in w.items()}))
    assert "NaN or infinity in transformer.h.1.mlp.c_fc.weight of" in refused(gpt2)


def test_large_weights_whose_sum_overflows_are_finite(gpt2: Path) -> None:
    edit_weights(gpt2, lambda w: w["transformer.wpe.weight"].fill_(1e37))
    load(gpt2)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22ea\n"


@pytest.mark.parametrize("name", [SAFE, BIN])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda data: b"", "is empty"),
        (lambda data: LFS, "Git LFS"),
        (lambda data: data[: len(data) // 2], "broken or cut short"),
        (lambda data: data[:5], "broken or cut short"),
        (lambda data: data + b"\0", None),
        (lambda data: b"<html>not found</html>", "broken or cut short"),
    ],
)
def test_broken_weights_are_refused_before_anything_is_loaded(
    tiny_gpt2: Path, tmp_path: Path, name: str, content: Callable[[bytes], bytes], said: str | None
) -> None:
    folder = copied(tiny_gpt2, tmp_path / "m", weights="bin" if name == BIN else "safetensors")
    (folder / name).write_bytes(content((folder / name).read_bytes()))
    if said is None and name == BIN:  # an archive may have a tail
        return
    with pytest.raises(UserError, match=f"{name}.*({said or 'broken'})"):
        find_pretrained("decoder.model", str(folder), None)


def test_a_header_of_nonsense_is_refused(gpt2: Path) -> None:
    for header in (b"[]", b"{}x", b'{"a": 1}', b'{"a": {"data_offsets": [0, "1"]}}'):
        (gpt2 / SAFE).write_bytes(struct.pack("<Q", len(header)) + header)
        assert f"{SAFE} is broken" in refused(gpt2)


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_shards_and_their_index_are_seen_to_be_there(
    tiny_gpt2: Path, tmp_path: Path, kind: str
) -> None:
    folder = copied(tiny_gpt2, tmp_path / "m", weights=f"{kind} shards")
    shard = next(folder.glob(f"*00002-of-00002.{kind}"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-100])
    assert f"{shard.name} is broken or cut short" in refused(folder)
    shard.unlink()
    assert f"{shard.name}, which is missing" in refused(folder)
    index = next(folder.glob("*.index.json"))
    for text in ("{}", "[]", "{", '{"weight_map": {"a": "../b"}}', '{"weight_map": {"a": 3}}'):
        index.write_text(text)
        assert f"{index.name} is not an index" in refused(folder)


def test_a_shard_that_lacks_a_tensor_is_refused(tiny_gpt2: Path, tmp_path: Path) -> None:
    folder = copied(tiny_gpt2, tmp_path / "m", weights="safetensors shards")
    shard = next(folder.glob("*00002-of-00002.safetensors"))
    weights = load_file(shard)
    lost = sorted(weights)[0]
    del weights[lost]
    save_file(weights, shard, metadata={"format": "pt"})
    assert lost in refused(folder)


class Touch:
    """What a pickle may do when it is read by anything but `weights_only`."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.file,))


def test_nothing_in_a_bin_is_run(tiny_gpt2: Path, tmp_path: Path) -> None:
    folder = copied(tiny_gpt2, tmp_path / "m", weights="bin")
    trace = tmp_path / "it ran"
    weights = load_file(tiny_gpt2 / SAFE)
    torch.save({**weights, "note": Touch(trace)}, folder / BIN)
    refused(folder)
    with pytest.raises(UserError, match="holds more than tensors"):
        find_pretrained("decoder.model", str(folder), None).digest()
    (folder / BIN).write_bytes(pickle.dumps(Touch(trace)))
    refused(folder)
    assert not trace.exists()


def test_a_bin_that_is_no_table_of_tensors_is_refused(tiny_gpt2: Path, tmp_path: Path) -> None:
    folder = copied(tiny_gpt2, tmp_path / "m", weights="bin")
    torch.save([torch.zeros(2)], folder / BIN)
    refused(folder)
    torch.save({"state_dict": load_file(tiny_gpt2 / SAFE)}, folder / BIN)
    refused(folder)


def test_what_is_missing_or_unreadable_is_named(gpt2: Path) -> None:
    config = gpt2 / "config.json"
    content = config.read_bytes()
    for broken in (b"{", b"[]", b"\xff\xfe", b"", b"null"):
        config.write_bytes(broken)
        assert "config.json" in refused(gpt2)
    config.unlink()
    assert "config.json is missing; save the model" in refused(gpt2)
    config.write_bytes(content)
    edit_json(config, model_type="none_such")
    assert "none_such" in refused(gpt2)
    edit_json(config, model_type="gpt2", n_head=5)
    assert "cannot be loaded" in refused(gpt2)
    edit_json(config, n_head=2, transformers_weights="other.safetensors")
    assert "transformers_weights" in refused(gpt2)
    (gpt2 / SAFE).unlink()
    assert "neither model.safetensors nor pytorch_model.bin" in refused(gpt2)


def test_an_adapter_beside_the_weights_is_neither_loaded_nor_left_out(gpt2: Path) -> None:
    """Transformers loads it where peft is installed, and nothing that is checked here covers it."""
    layer = "base_model.model.transformer.h.0.mlp.c_fc"
    config = LoraConfig(r=2, target_modules=["c_fc"], fan_in_fan_out=True)
    config.save_pretrained(gpt2)
    weights = {f"{layer}.lora_A.weight": torch.ones(2, 32)}
    save_file(
        weights | {f"{layer}.lora_B.weight": torch.ones(128, 2)}, gpt2 / "adapter_model.safetensors"
    )
    assert "an adapter (adapter_config.json), which is not read here; merge" in refused(gpt2)
    (gpt2 / "adapter_config.json").unlink()
    assert not any("lora" in name for name in load(gpt2).state_dict())


def test_a_package_that_is_not_installed_is_named(gpt2: Path) -> None:
    """Quantised weights need libraries of their own."""
    settings = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    edit_json(gpt2 / "config.json", quantization_config=settings)
    sentence = refused(gpt2)
    assert "(ImportError: " in sentence and "install the package" in sentence


def test_an_encoder_is_not_loaded_as_a_language_model(clip: Path) -> None:
    assert "another kind of model" in refused(clip)


OWN_CODE = """
from pathlib import Path
from transformers import GPT2Config, GPT2LMHeadModel
Path({trace!r}).touch()
class OwnConfig(GPT2Config):
    model_type = "own"
class OwnModel(GPT2LMHeadModel):
    config_class = OwnConfig
"""
ASK = """
import sys, torch
from transformers import AutoModelForCausalLM
from pipeline.common.errors import UserError
from pipeline.pretrained.folder import find_pretrained
from pipeline.pretrained.loading import load_pretrained
try:
    load_pretrained(AutoModelForCausalLM, find_pretrained("decoder.model", sys.argv[1], None),
                    torch.float32)
except UserError as error:
    print(error)
"""


def test_code_in_a_folder_is_neither_run_nor_asked_about(gpt2: Path, tmp_path: Path) -> None:
    """On a terminal, where Transformers would ask, with `y` typed ahead."""
    import pty

    trace = tmp_path / "it ran"
    (gpt2 / "own.py").write_text(OWN_CODE.format(trace=str(trace)))
    mapping = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    edit_json(gpt2 / "config.json", model_type="own", auto_map=mapping)
    master, slave = pty.openpty()
    os.write(master, b"y\n" * 3)
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(gpt2)],
        stdin=slave,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    os.close(master)
    os.close(slave)
    assert not trace.exists()
    assert (done.returncode, done.stderr) == (0, "")
    assert "code in its own folder, which is never run here" in done.stdout
    # A model that Transformers knows is loaded by its own code, whatever else the folder offers.
    edit_json(gpt2 / "config.json", model_type="gpt2")
    load(gpt2)
    assert not trace.exists()


def test_loading_says_nothing(tiny_gpt2: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load(tiny_gpt2)
    assert capfd.readouterr() == ("", "")


# --- tokenizers


def tokenizer(folder: Path, embeddings: int = 402) -> Any:
    return load_tokenizer(find_pretrained("decoder.model", str(folder), None), embeddings)


def files_of_the_tokenizer(folder: Path) -> list[Path]:
    return [f for f in folder.iterdir() if f.name not in (SAFE, "config.json", "README.md")]


@pytest.mark.parametrize("kept", [(), ("tokenizer_config.json",)])
@pytest.mark.parametrize("backbone", ["tiny_gpt2", "tiny_clip"])
def test_a_folder_without_tokenizer_files_is_refused(
    request: pytest.FixtureRequest, tmp_path: Path, backbone: str, kept: tuple[str, ...]
) -> None:
    folder = copied(request.getfixturevalue(backbone), tmp_path / "m")
    for file in files_of_the_tokenizer(folder):
        if file.name not in kept:
            file.unlink()
    with pytest.raises(UserError, match="save the tokenizer"):
        tokenizer(folder)


def test_a_vocabulary_without_its_merges_is_refused(gpt2: Path) -> None:
    content = json.loads((gpt2 / "tokenizer.json").read_text())["model"]
    (gpt2 / "vocab.json").write_text(json.dumps(content["vocab"]))
    merges = ["#version: 0.2", *(" ".join(pair) for pair in content["merges"])]
    (gpt2 / "merges.txt").write_text("\n".join(merges) + "\n")
    whole = tokenizer(gpt2)("The lamp on the table")["input_ids"]
    (gpt2 / "tokenizer.json").unlink()
    assert tokenizer(gpt2)("The lamp on the table")["input_ids"] == whole
    (gpt2 / "merges.txt").unlink()
    with pytest.raises(UserError, match="tokenizer"):
        tokenizer(gpt2)


def test_a_vocabulary_without_ordinary_words_is_refused(clip: Path) -> None:
    file = clip / "tokenizer.json"
    content = json.loads(file.read_text())
    content["model"]["vocab"] = {"<|startoftext|>": 0, "<|endoftext|>": 1}
    content["model"]["merges"] = []
    content["added_tokens"] = []
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match="knows no ordinary words"):
        tokenizer(clip)


def test_a_tokenizer_larger_than_the_embeddings_is_refused(tiny_gpt2: Path) -> None:
    assert len(tokenizer(tiny_gpt2)) == 402
    with pytest.raises(UserError, match="up to 401, but the model has embeddings for 401"):
        tokenizer(tiny_gpt2, 401)


def test_a_broken_tokenizer_is_refused(gpt2: Path) -> None:
    whole = (gpt2 / "tokenizer.json").read_bytes()
    for content in (b"", b"{", b"[]", whole[: len(whole) // 2], LFS):
        (gpt2 / "tokenizer.json").write_bytes(content)
        with pytest.raises(UserError, match="tokenizer"):
            tokenizer(gpt2)


def test_code_beside_a_tokenizer_is_not_run(gpt2: Path) -> None:
    """As Transformers does without trust: the class that the model's type names is taken."""
    expected = tokenizer(gpt2)("The lamp on the table")["input_ids"]
    edit_json(
        gpt2 / "tokenizer_config.json",
        auto_map={"AutoTokenizer": ["own.OwnTokenizer", None]},
        tokenizer_class="OwnTokenizer",
    )
    (gpt2 / "own.py").write_text("raise SystemExit")
    assert tokenizer(gpt2)("The lamp on the table")["input_ids"] == expected


def test_shards_written_here_are_as_the_library_writes_them(
    tiny_gpt2: Path, tmp_path: Path
) -> None:
    """So that the layouts of these tests are those of the Hub."""
    model = AutoModelForCausalLM.from_pretrained(tiny_gpt2)
    model.save_pretrained(tmp_path / "theirs", max_shard_size="50KB")
    theirs = json.loads((tmp_path / "theirs" / f"{SAFE}.index.json").read_text())
    (tmp_path / "ours").mkdir()
    write_shards(tmp_path / "ours", load_file(tiny_gpt2 / SAFE), "safetensors")
    ours = json.loads((tmp_path / "ours" / f"{SAFE}.index.json").read_text())
    assert theirs["weight_map"].keys() == ours["weight_map"].keys()
    assert "total_size" in theirs["metadata"] and "total_size" in ours["metadata"]
