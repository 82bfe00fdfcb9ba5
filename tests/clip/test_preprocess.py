import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from pipeline.clip.folder import find_clip
from pipeline.clip.preprocess import FITS, ImagePreprocessor
from pipeline.common.errors import UserError
from tests.images.image_files import encoded
from tests.world import jpeg

OPENAI = {
    "crop_size": 224,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 224,
}
"""As published with openai/clip-vit-base-patch32."""


def normalised(preprocess: ImagePreprocessor, pixels: np.ndarray) -> np.ndarray:
    mean, std = (np.array(part)[:, None, None] for part in (preprocess.mean, preprocess.std))
    return (pixels * preprocess.scale - mean) / std


@given(width=st.integers(16, 400), height=st.integers(16, 400), seed=st.integers(0, 9))
@settings(max_examples=20)
def test_crop_equals_transformers(width: int, height: int, seed: int) -> None:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    ours = ImagePreprocessor.from_config(OPENAI, "crop", 224)
    values = normalised(ours, ours(encoded(image)))
    theirs = CLIPImageProcessorPil(
        size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224}
    )(image, return_tensors="np")["pixel_values"][0]
    np.testing.assert_allclose(values, theirs, rtol=0, atol=2e-6)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_every_colour_mode_becomes_three_channels(mode: str) -> None:
    image = Image.new("RGB", (50, 40), (200, 30, 90)).convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    pixels = ImagePreprocessor.from_config(OPENAI, "crop", 224)(encoded(image, kind))
    assert pixels.shape == (3, 224, 224) and pixels.dtype == np.uint8


def test_pad_keeps_the_whole_frame_on_the_mean_colour() -> None:
    image = Image.new("RGB", (480, 240), (255, 0, 0))
    pad = ImagePreprocessor.from_config(OPENAI, "pad", 224)
    pixels = pad(encoded(image))
    assert (pixels[:, 56:168] == np.array([255, 0, 0])[:, None, None]).all()
    bars = np.concatenate([pixels[:, :56], pixels[:, 168:]], axis=1)
    # Half a grey level, in units of the deviation.
    assert np.abs(normalised(pad, bars)).max() < 0.01


def test_squash_keeps_both_edges_and_crop_does_not() -> None:
    wide = np.zeros((100, 300, 3), np.uint8)
    wide[:, :30, 0] = wide[:, -30:, 1] = 255
    data = encoded(Image.fromarray(wide))
    squashed = ImagePreprocessor.from_config(OPENAI, "squash", 224)(data)
    assert squashed[0, :, :20].min() > 250 and squashed[1, :, -20:].min() > 250
    assert ImagePreprocessor.from_config(OPENAI, "crop", 224)(data).max() < 10


@pytest.mark.parametrize("fit", FITS)
def test_extreme_shapes_fit(fit: str) -> None:
    preprocess = ImagePreprocessor.from_config(OPENAI, fit, 224)
    for size in ((1, 1), (1, 60), (60, 1)):
        assert preprocess(encoded(Image.new("RGB", size))).shape == (3, 224, 224)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(150_000, 1), (1, 150_000), (600_000, 20)])
def test_a_sliver_takes_little_memory(fit: str, size: tuple[int, int]) -> None:
    """Scaled as a whole, the first two would take 30 GB."""
    code = f"""if True:
        import resource, sys
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
        from pipeline.clip.preprocess import ImagePreprocessor
        processor = {OPENAI!r}
        pixels = ImagePreprocessor.from_config(processor, {fit!r}, 224)(sys.stdin.buffer.read())
        print(pixels.shape)
    """
    data = encoded(Image.new("RGB", size))
    done = subprocess.run(
        [sys.executable, "-c", code], input=data, capture_output=True, timeout=60, check=False
    )
    assert done.stdout == b"(3, 224, 224)\n", done.stderr.decode()[-500:]


@given(
    short=st.integers(1, 5),
    times=st.floats(258, 400),
    lying=st.booleans(),
    edge=st.sampled_from([224, 256]),
    seed=st.integers(0, 9),
)
@settings(max_examples=8)
def test_of_a_sliver_the_same_middle_is_cut_out(
    short: int, times: float, lying: bool, edge: int, seed: int
) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (short, int(short * times), 3), np.uint8)
    image = Image.fromarray(noise if lying else noise.transpose(1, 0, 2).copy())
    ours = ImagePreprocessor.from_config(OPENAI | {"size": edge}, "crop", 224)(encoded(image))
    scaled = int(edge * max(image.size) / short)
    whole = image.resize((scaled, edge) if lying else (edge, scaled), Image.Resampling.BICUBIC)
    left, top = (whole.width - 224) // 2, (whole.height - 224) // 2
    middle = np.asarray(whole.crop((left, top, left + 224, top + 224))).transpose(2, 0, 1)
    assert np.abs(ours.astype(int) - middle).max() <= 2


def test_an_image_is_seen_upright_and_on_white() -> None:
    """What is fitted is what a viewer shows: a wide image that EXIF stands on its side."""
    wide = Image.new("RGBA", (300, 100), (255, 0, 0, 0))
    wide.paste((0, 0, 255, 255), (0, 0, 100, 100))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    stream = io.BytesIO()
    wide.save(stream, "PNG", exif=exif)
    pixels = ImagePreprocessor.from_config(OPENAI, "squash", 224)(stream.getvalue())
    assert (pixels[:, :60] == np.array([0, 0, 255])[:, None, None]).all()
    assert (pixels[:, 100:] == 255).all()


def test_undecodable_bytes_are_a_clear_error() -> None:
    preprocess = ImagePreprocessor.from_config(OPENAI, "crop", 224)
    data = jpeg(0)
    for broken in (b"", b"not an image", data[: len(data) // 2]):
        with pytest.raises(UserError, match="cannot be decoded"):
            preprocess(broken)


def test_settings_come_from_the_folder(tiny_clip: Path) -> None:
    folder = find_clip(str(tiny_clip), None)
    preprocess = ImagePreprocessor.from_config(folder.processor, "crop", folder.image_size)
    assert (preprocess.size, preprocess.shortest_edge, preprocess.resample) == (32, 32, 3)
    assert preprocess.scale == 1 / 255


def test_a_processor_of_another_size_is_refused() -> None:
    with pytest.raises(UserError, match="336"):
        ImagePreprocessor.from_config(OPENAI, "crop", 336)
    with pytest.raises(UserError, match="stretch"):
        ImagePreprocessor.from_config(OPENAI, "stretch", 224)
