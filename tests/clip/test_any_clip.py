"""CLIP models that are not the published one, against plain Transformers on the same files."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, CLIPConfig, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from pipeline.clip.frozen import FrozenClip
from pipeline.common.errors import UserError
from pipeline.evaluation.judge import Judge
from pipeline.features.cache import EncodeCache
from pipeline.features.embed import CachedTexts
from tests.world import jpeg

TEXTS = ["", "She runs.", "The lamp on the table is still lit. " * 9, "naïve — 東京 🚂"]
TOWERS = ("vision_config", "text_config")


def load(folder: Path, **settings: Any) -> FrozenClip:
    return FrozenClip.load(str(folder), **{"precision": "float32", "batch_size": 8, **settings})


def refused(folder: Path, use: Callable[[FrozenClip], object] = lambda clip: None) -> str:
    with pytest.raises(UserError) as caught:
        use(load(folder))
    sentence = str(caught.value)
    assert sentence.isprintable() and len(sentence) <= 500, sentence
    return sentence


def edit_json(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def unit(vectors: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(vectors, dim=-1).numpy()


def theirs(
    folder: Path, pictures: list[bytes], processor: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Image and text embeddings by Transformers' own processor, tokenizer and model."""
    model = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    processor = processor or CLIPImageProcessorPil.from_pretrained(folder)
    images = [Image.open(io.BytesIO(data)) for data in pictures]
    tokens = AutoTokenizer.from_pretrained(folder)(
        TEXTS, truncation=True, padding="max_length", max_length=77, return_tensors="pt"
    )
    with torch.inference_mode():
        pixels = processor(images, return_tensors="pt")
        image = model.get_image_features(**pixels).pooler_output
        text = model.get_text_features(**tokens).pooler_output
    return unit(image), unit(text)


def assert_alike(folder: Path, **settings: Any) -> None:
    """Our embeddings of some pictures and captions are those of plain Transformers."""
    pictures = [jpeg(seed, width=60 + 9 * seed) for seed in range(4)]
    clip = load(folder, **settings)
    ours = clip.encode_images(np.stack([clip.preprocess(data) for data in pictures]))
    for mine, their in zip((ours, clip.encode_texts(TEXTS)), theirs(folder, pictures), strict=True):
        assert (mine * their).sum(axis=1).min() > 0.9999


def build(folder: Path, tiny_clip: Path, **changes: dict[str, Any]) -> Path:
    """A random CLIP with other towers; tokenizer and processor are the tiny one's."""
    base = CLIPConfig.from_pretrained(tiny_clip).to_dict()
    for tower, settings in changes.items():
        base[tower].update(settings)
    shutil.copytree(tiny_clip, folder, ignore=shutil.ignore_patterns("model.safetensors"))
    with torch.random.fork_rng():
        torch.manual_seed(5)
        CLIPModel(CLIPConfig.from_dict(base)).save_pretrained(folder)
    size = base["vision_config"]["image_size"]
    edit_json(
        folder / "preprocessor_config.json",
        lambda p: p.update(size={"shortest_edge": size}, crop_size={"height": size, "width": size}),
    )
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        {"vision_config": {"hidden_act": "gelu"}, "text_config": {"hidden_act": "gelu"}},
        {"vision_config": {"hidden_act": "quick_gelu"}, "text_config": {"hidden_act": "gelu_new"}},
        {"vision_config": {"hidden_act": "relu"}, "text_config": {"hidden_act": "silu"}},
        {"vision_config": {"patch_size": 8}},
        {"vision_config": {"patch_size": 12, "image_size": 40}},  # 4 pixels are left over
        {"vision_config": {"hidden_size": 48, "num_attention_heads": 3, "num_hidden_layers": 1}},
        {"text_config": {"hidden_size": 64, "intermediate_size": 96, "layer_norm_eps": 1e-3}},
    ],
    ids=lambda changes: " ".join(f"{k}={v}" for t in changes.values() for k, v in t.items()),
)
def test_other_shapes_and_activations(
    tiny_clip: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    assert_alike(build(tmp_path / "clip", tiny_clip, **changes))


# --- config.json


def fingerprints(folder: Path) -> list[str]:
    clip = load(folder)
    return [clip.fingerprint("image"), clip.fingerprint("text")]


def test_a_config_that_leaves_defaults_out(tiny_clip: Path, tmp_path: Path) -> None:
    """As Transformers 4 saved it: images of 224 pixels, 77 positions, 512 dimensions unsaid."""
    folder = build(
        tmp_path / "clip",
        tiny_clip,
        vision_config={"image_size": 224, "patch_size": 32},
    )
    model = CLIPModel.from_pretrained(folder)
    model.config.projection_dim = 512
    with torch.random.fork_rng():
        torch.manual_seed(5)
        CLIPModel(model.config).save_pretrained(folder)
    whole = load(folder)
    expected = whole.encode_texts(TEXTS)

    def leave_out(config: dict[str, Any]) -> None:
        default = CLIPConfig().to_dict()
        for part, other in ((config, default), *((config[t], default[t]) for t in TOWERS)):
            for name in [name for name in part if name != "model_type"]:
                if name in other and part[name] == other[name]:
                    del part[name]

    edit_json(folder / "config.json", leave_out)
    stored = json.loads((folder / "config.json").read_text())
    assert "image_size" not in stored["vision_config"] and "projection_dim" not in stored
    clip = load(folder)
    assert (clip.dim, clip.folder.image_size, clip.folder.text_positions) == (512, 224, 77)
    np.testing.assert_array_equal(clip.encode_texts(TEXTS), expected)
    assert_alike(folder)


@pytest.mark.parametrize("others", ["none", "null", "the default's"])
def test_towers_under_their_old_names(tiny_clip: Path, clip_copy: Path, others: str) -> None:
    """`vision_config_dict` alone, or beside `vision_config`, over which it has the last word."""

    def rename(config: dict[str, Any]) -> None:
        for name in TOWERS:
            config[f"{name}_dict"] = config.pop(name)
            if others == "null":
                config[name] = None
            if others == "the default's":
                config[name] = getattr(CLIPConfig(), name).to_dict()

    edit_json(clip_copy / "config.json", rename)
    clip = load(clip_copy)
    assert (clip.dim, clip.folder.image_size) == (24, 32)
    assert_alike(clip_copy)
    before = fingerprints(clip_copy)
    edit_json(
        clip_copy / "config.json", lambda c: c["vision_config_dict"].update(hidden_act="gelu")
    )
    changed = [a != b for a, b in zip(before, fingerprints(clip_copy), strict=True)]
    assert changed == [True, False]


def test_old_names_that_say_the_same_leave_the_fingerprint(clip_copy: Path) -> None:
    """As in openai/clip-vit-large-patch14, where they repeat a part and leave the token ids out."""
    before = fingerprints(clip_copy)

    def repeat(config: dict[str, Any]) -> None:
        for tower in TOWERS:
            names = set(config[tower]) - {"bos_token_id", "eos_token_id", "pad_token_id", "dtype"}
            config[f"{tower}_dict"] = {name: config[tower][name] for name in names}

    edit_json(clip_copy / "config.json", lambda c: c.update(text_config_dict=None))
    assert fingerprints(clip_copy) == before
    edit_json(clip_copy / "config.json", repeat)
    assert fingerprints(clip_copy) == before


@pytest.mark.parametrize("size", [[32, 48], "32", None])
def test_an_image_size_that_is_no_square_is_refused(clip_copy: Path, size: object) -> None:
    edit_json(clip_copy / "config.json", lambda c: c["vision_config"].update(image_size=size))
    assert "only squares" in refused(clip_copy)


# --- the end of a caption


def test_the_published_configs_of_2021_read_captions_where_they_always_did(
    tiny_clip: Path, clip_copy: Path
) -> None:
    """They say `eos_token_id: 2`; the end token is the highest, and that is where CLIP reads."""
    expected = load(tiny_clip).encode_texts(TEXTS)
    edit_json(clip_copy / "config.json", lambda c: c["text_config"].update(eos_token_id=2))
    np.testing.assert_array_equal(load(clip_copy).encode_texts(TEXTS), expected)
    assert_alike(clip_copy)


def test_a_token_above_the_end_token_moves_the_place_in_old_configs_alone(
    tiny_clip: Path, tmp_path: Path
) -> None:
    vocabulary = json.loads((tiny_clip / "config.json").read_text())["text_config"]["vocab_size"]
    folder = build(tmp_path / "clip", tiny_clip, text_config={"vocab_size": vocabulary + 1})
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["lamp"])
    tokenizer.save_pretrained(folder)
    assert_alike(folder)
    first = load(folder).encode_texts(TEXTS)
    edit_json(folder / "config.json", lambda c: c["text_config"].update(eos_token_id=2))
    assert_alike(folder)
    moved = np.abs(load(folder).encode_texts(TEXTS) - first).max(axis=1) > 1e-3
    assert moved.tolist() == ["lamp" in text for text in TEXTS]


def test_an_end_token_that_no_caption_ends_with_is_refused(clip_copy: Path) -> None:
    """Transformers would read every caption at its first token, the same in all."""
    edit_json(clip_copy / "config.json", lambda c: c["text_config"].pop("eos_token_id"))
    sentence = refused(clip_copy, lambda clip: clip.encode_texts(["She runs."]))
    assert "captions end with token 49407" in sentence


# --- the image processor


@pytest.mark.parametrize(
    "changes",
    [
        {"do_normalize": False},
        {"do_rescale": False},
        {"do_normalize": False, "do_rescale": False},
        {"do_convert_rgb": False},
        {"do_center_crop": False, "size": {"height": 32, "width": 32}},
        {"size": {"height": 32, "width": 32}},
        {"size": 40, "crop_size": 32},
        {"size": {"shortest_edge": 40}},
        {"image_mean": 0.5, "image_std": [0.2, 0.3, 0.4]},
        {"resample": 2, "rescale_factor": 0.01},
        {"image_mean": "gone", "image_std": "gone", "resample": "gone", "rescale_factor": "gone"},
        {"image_processor_type": "CLIPImageProcessorFast", "do_pad": None},
    ],
    ids=str,
)
def test_processors_are_honoured_as_transformers_does(
    clip_copy: Path, changes: dict[str, Any]
) -> None:
    def change(processor: dict[str, Any]) -> None:
        processor.update(changes)
        for name in [name for name, value in changes.items() if value == "gone"]:
            del processor[name]

    before = fingerprints(clip_copy)
    edit_json(clip_copy / "preprocessor_config.json", change)
    assert_alike(clip_copy)
    silent = {"do_convert_rgb", "image_processor_type"} & changes.keys() or "gone" in str(changes)
    assert (fingerprints(clip_copy)[0] == before[0]) == bool(silent)


def test_what_older_versions_saved_as_null_is_as_left_out(clip_copy: Path) -> None:
    before = fingerprints(clip_copy)
    nulls = dict.fromkeys(("crop_size", "image_mean", "image_std", "resample", "size"))
    edit_json(clip_copy / "preprocessor_config.json", lambda p: p.update(nulls))
    assert fingerprints(clip_copy) == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"do_resize": False}, "does not resize"),
        ({"do_center_crop": False}, "does not make squares"),
        ({"do_center_crop": None}, "does not make squares"),
        ({"size": {"height": 40, "width": 48}}, "does not make squares"),
        ({"size": {"shortest_edge": 32, "longest_edge": 40}}, "does not make squares"),
        ({"size": {"shortest_edge": 24}}, "shorter side of 24"),
        ({"crop_size": {"height": 32, "width": 24}}, "the model takes 32"),
        ({"image_processor_type": "ViTImageProcessor"}, "is a ViTImageProcessor"),
        ({"image_std": [0.2, 0.0, 0.2]}, "an image_std of 0"),
        ({"image_mean": [0.5]}, "three numbers"),
        ({"image_mean": float("nan")}, "three numbers"),
        ({"resample": 77}, "cannot have had"),
        ({"size": []}, "cannot have had"),
        ({"size": "large"}, "cannot have had"),
        ({"rescale_factor": "a lot"}, "cannot have had"),
    ],
    ids=str,
)
def test_processors_that_cannot_be_honoured_are_refused(
    clip_copy: Path, changes: dict[str, Any], said: str
) -> None:
    edit_json(clip_copy / "preprocessor_config.json", lambda p: p.update(changes))
    sentence = refused(clip_copy)
    start = f"the image processor of clip.model {clip_copy}"
    assert said in sentence and sentence.startswith(start)


def test_pad_and_squash_need_no_crop_of_the_processor(clip_copy: Path) -> None:
    def fitted() -> list[np.ndarray]:
        fits = ("pad", "squash")
        return [load(clip_copy, image_fit=fit).preprocess(jpeg(1)) for fit in fits]

    plain = fitted()
    edit_json(
        clip_copy / "preprocessor_config.json",
        lambda p: p.update(do_center_crop=False, do_resize=False),
    )
    np.testing.assert_array_equal(fitted(), plain)


# --- what is missing, and what is not finite


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("config.json", "save the model with save_pretrained"),
        ("preprocessor_config.json", "save the model's image processor into the folder"),
        ("model.safetensors", "fetch its weights"),
    ],
)
def test_a_missing_file_is_named_with_what_to_do(clip_copy: Path, name: str, advice: str) -> None:
    (clip_copy / name).unlink()
    sentence = refused(clip_copy)
    assert name in sentence and advice in sentence and "dvc repro" not in sentence


def test_a_judge_without_a_tokenizer_is_refused_before_captions_are_written(
    clip_copy: Path, tmp_path: Path
) -> None:
    """Its images come first, then hours of writing, then its texts."""
    (clip_copy / "tokenizer.json").unlink()
    judge = Judge(FrozenClip.load(str(clip_copy), parameter="evaluate.judge"), "", tmp_path)
    with pytest.raises(UserError, match=r"^evaluate.judge .* has no tokenizer files"):
        judge.look_at(tmp_path / "frames.parquet", np.zeros((1, 32), np.uint8))


def test_a_model_of_grey_images_is_refused(tiny_clip: Path, tmp_path: Path) -> None:
    folder = build(tmp_path / "clip", tiny_clip, vision_config={"num_channels": 1})
    pixels = load(tiny_clip).preprocess(jpeg(1))[None]
    assert "1 channels" in refused(folder, lambda clip: clip.encode_images(pixels))


def test_messages_name_the_judge_where_it_is_the_judge(clip_copy: Path, tiny_gpt2: Path) -> None:
    for folder in (tiny_gpt2, tiny_gpt2 / "nowhere"):
        with pytest.raises(UserError, match=r"^evaluate.judge"):
            FrozenClip.load(str(folder), parameter="evaluate.judge")
    edit_json(clip_copy / "preprocessor_config.json", lambda p: p.update(do_resize=False))
    with pytest.raises(UserError, match=r"the image processor of evaluate.judge"):
        FrozenClip.load(str(clip_copy), parameter="evaluate.judge")


def test_weights_that_are_not_finite_leave_nothing_in_the_cache(clip_copy: Path) -> None:
    weights = load_file(clip_copy / "model.safetensors")
    weights["text_model.final_layer_norm.weight"][3] = float("nan")
    save_file(weights, clip_copy / "model.safetensors", metadata={"format": "pt"})
    sentence = refused(clip_copy, lambda clip: CachedTexts(clip).embed(["She runs."]))
    assert "NaN or infinity in text_model.final_layer_norm.weight" in sentence
    cache = EncodeCache("text", load(clip_copy).fingerprint("text"))
    assert not cache.folder.exists()
