import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.clip.frozen import FrozenClip
from pipeline.common.errors import UserError
from tests.processes import python
from tests.world import jpeg

SAMPLE_CLIP = Path(__file__).parents[2] / "data" / "sample" / "clip"
CPU = torch.device("cpu")
LONG = "the old man walks down to the river and looks for the red box. " * 12


def load(path: Path, **settings: object) -> FrozenClip:
    return FrozenClip.load(str(path), **{"precision": "float32", **settings})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def clip(tiny_clip: Path) -> FrozenClip:
    return load(tiny_clip, batch_size=8)


@pytest.fixture(scope="module")
def pixels(clip: FrozenClip) -> np.ndarray:
    return np.stack([clip.preprocess(jpeg(i)) for i in range(20)])


@pytest.fixture(scope="module")
def reference(tiny_clip: Path):
    from transformers import CLIPModel

    return CLIPModel.from_pretrained(tiny_clip, dtype=torch.float32).eval()


def unit(array: np.ndarray) -> np.ndarray:
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


def test_golden_pooler_output_is_projected_once(reference, tiny_clip: Path) -> None:
    """What transformers returns is the projection itself: projecting again would be wrong."""
    values = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    ids = torch.tensor([[512, 5, 6, 7, reference.config.text_config.eos_token_id]])
    with torch.inference_mode():
        image = reference.get_image_features(pixel_values=values).pooler_output
        text = reference.get_text_features(input_ids=ids).pooler_output
        by_hand = reference.visual_projection(reference.vision_model(values).pooler_output)
        text_by_hand = reference.text_projection(reference.text_model(ids).pooler_output)
    assert image.shape == (3, 24) and text.shape == (1, 24)
    torch.testing.assert_close(image, by_hand, rtol=0, atol=0)
    torch.testing.assert_close(text, text_by_hand, rtol=0, atol=0)


def test_images_are_embedded_as_transformers_does(clip, reference, tiny_clip) -> None:
    import io

    from PIL import Image
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    data = [jpeg(i, width=60 + i) for i in range(11)]
    ours = clip.encode_images(np.stack([clip.preprocess(d) for d in data]))
    processor = CLIPImageProcessorPil.from_pretrained(tiny_clip)
    values = processor([Image.open(io.BytesIO(d)) for d in data], return_tensors="pt")
    with torch.inference_mode():
        theirs = reference.get_image_features(**values).pooler_output.numpy()
    assert ours.dtype == np.float32 and ours.shape == (11, clip.dim)
    np.testing.assert_allclose(ours, unit(theirs), atol=2e-6)


def test_texts_are_embedded_as_transformers_does(clip, reference, tiny_clip) -> None:
    """Sorted, bucketed batches without a mask against plain padding to the full length with one."""
    from transformers import AutoTokenizer

    texts = [LONG[: 17 * i] for i in range(20)] + ["", "She runs.", "naïve — 東京 🚂"]
    tokens = AutoTokenizer.from_pretrained(tiny_clip)(
        texts, truncation=True, padding="max_length", max_length=77, return_tensors="pt"
    )
    with torch.inference_mode():
        theirs = reference.get_text_features(**tokens).pooler_output.numpy()
    np.testing.assert_allclose(clip.encode_texts(texts), unit(theirs), atol=2e-6)


@pytest.mark.parametrize("model", ["tiny", "sample"])
def test_a_special_token_in_a_caption_is_text_and_ends_nothing(tiny_clip: Path, model: str) -> None:
    """The sample's vocabulary has no `|`: what it does not know is the end token once more."""
    clip = load(tiny_clip if model == "tiny" else SAMPLE_CLIP, batch_size=8)
    same = "Tom walks <|endoftext|>"
    vectors = clip.encode_texts(["Tom walks", same, f"{same} to the river", f"{same} in the fog"])
    assert (
        np.abs(vectors[:, None] - vectors[None]).max(axis=-1)[~np.eye(4, dtype=bool)].min() > 0.01
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_image_does_not_depend_on_its_batch(tiny_clip: Path, pixels, precision: str) -> None:
    clip = load(tiny_clip, batch_size=8, precision=precision)
    alone = np.concatenate([clip.encode_images(pixels[i : i + 1]) for i in range(20)])
    order = np.random.default_rng(0).permutation(20)
    shuffled = np.empty_like(alone)
    shuffled[order] = clip.encode_images(pixels[order])
    assert np.array_equal(clip.encode_images(pixels), alone)
    assert np.array_equal(shuffled, alone)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("overflow", ["truncate", "chunks"])
def test_a_caption_does_not_depend_on_its_batch(
    tiny_clip: Path, overflow: str, precision: str
) -> None:
    clip = load(tiny_clip, batch_size=8, text_overflow=overflow, precision=precision)
    texts = [LONG[i : 40 + 31 * i] for i in range(21)]
    alone = np.concatenate([clip.encode_texts([text]) for text in texts])
    order = np.random.default_rng(0).permutation(21)
    shuffled = np.empty_like(alone)
    shuffled[order] = clip.encode_texts([texts[i] for i in order])
    assert np.array_equal(clip.encode_texts(texts), alone)
    assert np.array_equal(shuffled, alone)
    np.testing.assert_allclose(np.linalg.norm(alone, axis=1), 1, atol=1e-6)


def test_chunks_are_the_mean_of_the_pieces(tiny_clip: Path, reference) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_clip)
    ids = tokenizer(LONG, add_special_tokens=False)["input_ids"]
    assert len(ids) > 2 * 75
    pieces = [
        [tokenizer.bos_token_id, *ids[i : i + 75], tokenizer.eos_token_id]
        for i in range(0, len(ids), 75)
    ]
    with torch.inference_mode():
        vectors = [
            reference.get_text_features(input_ids=torch.tensor([p])).pooler_output.numpy()[0]
            for p in pieces
        ]
    expected = unit(np.mean([unit(v) for v in vectors], axis=0))
    clip = load(tiny_clip, batch_size=8, text_overflow="chunks")
    counted: list[int] = []
    found = clip.encode_texts([LONG, "She runs."], counted.append)
    np.testing.assert_allclose(found[0], expected, atol=2e-6)
    assert sum(counted) == 2
    short = load(tiny_clip, batch_size=8).encode_texts(["She runs."])
    np.testing.assert_allclose(found[1:], short, atol=1e-6)
    assert not np.allclose(found[:1], load(tiny_clip, batch_size=8).encode_texts([LONG]), atol=1e-3)


def test_bfloat16_agrees(tiny_clip: Path, clip, pixels) -> None:
    half = load(tiny_clip, precision="bfloat16", batch_size=8)
    assert (half.encode_images(pixels) * clip.encode_images(pixels)).sum(1).min() > 0.999
    texts = [LONG[: 9 * i] for i in range(20)]
    assert (half.encode_texts(texts) * clip.encode_texts(texts)).sum(1).min() > 0.999


def test_nothing_to_encode(clip) -> None:
    assert clip.encode_texts([]).shape == (0, clip.dim)
    assert clip.encode_images(np.zeros((0, 3, 32, 32), np.uint8)).shape == (0, clip.dim)


def test_each_modality_has_its_own_fingerprint(tiny_clip: Path, clip_copy: Path) -> None:
    base = load(tiny_clip)
    image, text = base.fingerprint("image"), base.fingerprint("text")
    assert image != text and len(image) == 64

    def changed(**settings: object) -> tuple[bool, bool]:
        other = load(clip_copy, **settings)
        return other.fingerprint("image") != image, other.fingerprint("text") != text

    assert changed() == (False, False)  # the folder's name is no part of it
    assert changed(batch_size=3) == (False, False)
    assert changed(image_fit="pad") == (True, False)
    assert changed(text_overflow="chunks") == (False, True)
    assert changed(max_words=25) == (False, True)
    assert changed(max_words=None) == (False, False)
    assert changed(precision="bfloat16") == (True, True)

    processor = json.loads((clip_copy / "preprocessor_config.json").read_text())
    (clip_copy / "preprocessor_config.json").write_text(json.dumps({**processor, "resample": 2}))
    assert changed() == (True, False)
    (clip_copy / "preprocessor_config.json").write_text(json.dumps(processor))

    weights = load_file(clip_copy / "model.safetensors")
    for name, expected in (
        ("visual_projection.weight", (True, False)),
        ("text_model.embeddings.token_embedding.weight", (False, True)),
        ("logit_scale", (False, False)),
    ):
        flipped = {**weights, name: weights[name] * 1.01}
        save_file(flipped, clip_copy / "model.safetensors", metadata={"format": "pt"})
        assert changed() == expected, name
    save_file(weights, clip_copy / "model.safetensors", metadata={"format": "pt"})

    tokenizer = clip_copy / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    assert changed() == (False, True)


def test_captions_are_cut_to_their_first_words(tiny_clip: Path) -> None:
    clip, cut = load(tiny_clip, batch_size=8), load(tiny_clip, batch_size=8, max_words=3)
    captions = ["Mara  opens the old door.", "Tom waits."]
    vectors = cut.encode_texts(captions)
    assert np.array_equal(vectors, clip.encode_texts(["Mara opens the", "Tom waits."]))
    whole = cut.of_whole_captions()
    assert np.array_equal(whole.encode_texts(captions), clip.encode_texts(captions))
    assert whole.fingerprint("text") == clip.fingerprint("text")
    assert "max_words" not in clip.settings("text"), "what was embedded whole is still found"


def test_half_precision_weights_load_as_float32(tiny_clip: Path, clip_copy: Path, pixels) -> None:
    weights = load_file(clip_copy / "model.safetensors")
    halves = {name: tensor.half() for name, tensor in weights.items()}
    save_file(halves, clip_copy / "model.safetensors", metadata={"format": "pt"})
    found = load(clip_copy, batch_size=8).encode_images(pixels)
    assert found.dtype == np.float32
    assert (found * load(tiny_clip, batch_size=8).encode_images(pixels)).sum(1).min() > 0.9999


def test_fingerprint_and_width_need_no_torch(tiny_clip: Path) -> None:
    code = (
        "import sys; from pipeline.clip.frozen import FrozenClip;"
        f"clip = FrozenClip.load({str(tiny_clip)!r}, precision='float32');"
        "clip.fingerprint('image'), clip.fingerprint('text'), clip.dim;"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    assert python("-c", code).returncode == 0


def test_an_encoder_is_rebuilt_from_what_it_says(clip_copy: Path) -> None:
    clip = load(clip_copy, image_fit="squash", text_overflow="chunks", max_words=25)
    for modality in ("image", "text"):
        said = {**clip.settings(modality), "fingerprint": clip.fingerprint(modality)}
        assert FrozenClip.rebuild(said).fingerprint(modality) == said["fingerprint"]
    with pytest.raises(UserError, match="has changed"):
        FrozenClip.rebuild({**said, "fingerprint": "0" * 64})


def test_missing_or_unsuitable_models_are_clear_errors(
    tmp_path: Path, tiny_clip: Path, tiny_gpt2: Path, clip_copy: Path
) -> None:
    for name in ("data/sample/nothing", "nobody/nothing", str(tmp_path / "gone")):
        with pytest.raises(UserError, match=r"no folder here.*network"):
            load(Path(name))
    with pytest.raises(UserError, match="gpt2"):
        load(tiny_gpt2)
    (clip_copy / "model.safetensors").unlink()
    with pytest.raises(UserError, match="safetensors"):
        load(clip_copy).fingerprint("image")
    with pytest.raises(UserError, match="cut"):
        load(tiny_clip, text_overflow="cut")


def test_processor_nested_by_transformers_5_is_found(clip_copy: Path) -> None:
    plain = load(clip_copy).fingerprint("image")
    file = clip_copy / "preprocessor_config.json"
    nested = {"image_processor": json.loads(file.read_text())}
    (clip_copy / "processor_config.json").write_text(json.dumps(nested))
    file.unlink()
    assert load(clip_copy).fingerprint("image") == plain
