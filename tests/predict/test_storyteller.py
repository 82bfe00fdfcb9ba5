"""A model folder in use: pictures and captions in, the next caption out."""

import copy
import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

import pipeline
from pipeline.common.checksums import write_sums
from pipeline.common.errors import UserError
from pipeline.common.files import write_json
from pipeline.model.layout import read_params
from pipeline.predict.storyteller import Storyteller
from tests.predict.conftest import CAPTIONS


def test_it_is_the_one_name_of_the_package():
    assert pipeline.Storyteller is Storyteller
    with pytest.raises(AttributeError, match="no attribute 'Storytellers'"):
        _ = pipeline.Storytellers


def test_a_path_its_bytes_and_its_picture_are_the_same(teller, pictures):
    told = teller.tell(pictures[:2], CAPTIONS)
    assert teller.tell([str(path) for path in pictures[:2]], CAPTIONS) == told
    assert teller.tell([path.read_bytes() for path in pictures[:2]], CAPTIONS) == told
    assert teller.tell([Image.open(path) for path in pictures[:2]], CAPTIONS) == told


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F", "YCbCr"])
def test_pictures_in_memory_of_any_mode(teller, pictures, mode):
    image = Image.open(pictures[0]).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    encoded = io.BytesIO()
    image.save(encoded, "TIFF")
    in_memory, as_file = (
        teller.read([picture, pictures[1]], CAPTIONS).images
        for picture in (image, encoded.getvalue())
    )
    assert np.array_equal(in_memory, as_file)


def test_a_picture_in_memory_is_turned_as_its_file_is(teller, pictures):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = io.BytesIO()
    Image.open(pictures[0]).save(turned, "PNG", exif=exif)
    in_memory = Image.open(io.BytesIO(turned.getvalue()))
    contexts = [teller.read([p, pictures[1]], CAPTIONS) for p in (in_memory, turned.getvalue())]
    assert np.array_equal(contexts[0].images, contexts[1].images)


def test_of_more_frames_the_last_count(teller, pictures):
    more = teller.read(pictures, ["She wakes.", *CAPTIONS])
    last = teller.read(pictures[1:], CAPTIONS)
    assert more.captions == [CAPTIONS]
    assert np.array_equal(more.images, last.images)


def test_captions_are_read_as_those_of_a_dataset(teller, pictures):
    plain = teller.tell(pictures[:2], CAPTIONS)
    spaced = [f" {caption.replace(' ', '  ')}\n\u200b" for caption in CAPTIONS]
    assert teller.tell(pictures[:2], spaced) == plain


def test_alternatives_are_scored_and_in_order(teller, pictures):
    found = teller.alternatives(pictures[:2], CAPTIONS, 4, seed=3)
    assert [a.score for a in found] == sorted((a.score for a in found), reverse=True)
    assert teller.tell(pictures[:2], CAPTIONS) in [a.caption for a in found]
    assert teller.alternatives(pictures[:2], CAPTIONS, 4, seed=3) == found
    assert teller.alternatives(pictures[:2], CAPTIONS, 4, seed=4) != found
    assert all(a.nll >= 0 for a in found)


@pytest.mark.parametrize(
    ("images", "captions", "sentence"),
    [
        (1, CAPTIONS[:1], "trained to read 2 frames and has been given 1"),
        (2, CAPTIONS[:1], "2 images and 1 captions"),
        (2, [CAPTIONS[0], " \u200b"], "frame 2 has no caption"),
        (2, ["\u3164", CAPTIONS[1]], "frame 1 has no caption"),
        (0, [], "no image and no caption to go on from"),
        (2, None, "frame 1 has no caption: .* train a model that does without"),
    ],
)
def test_what_the_model_cannot_read_is_one_sentence(teller, pictures, images, captions, sentence):
    with pytest.raises(UserError, match=sentence):
        teller.tell(pictures[:images], captions)


def test_a_bad_picture_is_named(teller, pictures, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(pictures[0].read_bytes()[:200])
    with pytest.raises(UserError, match=r"image 2 \(.*broken\.jpg\): "):
        teller.tell([pictures[0], broken], CAPTIONS)
    with pytest.raises(UserError, match=r"image 1 \(.*none\.jpg\): there is no such file"):
        teller.tell([tmp_path / "none.jpg", broken], CAPTIONS)
    with pytest.raises(UserError, match=r"image 1: "):
        teller.tell([b"no picture", broken], CAPTIONS)


# --- a model that does without


@pytest.fixture
def undemanding(teller):
    """The same weights, as if they had been trained with frames that lack something."""
    fusion = teller.generator.config.fusion.model_copy(update={"hide_share": 0.5})
    generator = copy.copy(teller.generator)
    generator.config = generator.config.model_copy(update={"fusion": fusion})
    return replace(teller, captioner=replace(teller.captioner, generator=generator))


def test_what_is_not_there_is_zero_and_an_empty_line(undemanding, teller, pictures):
    whole = teller.read(pictures[:2], CAPTIONS)
    context = undemanding.read([pictures[0], None], [None, CAPTIONS[1]])
    assert context.captions == [["", CAPTIONS[1]]]
    assert not context.images[0, 1].any() and not context.texts[0, 0].any()
    assert np.array_equal(context.images[0, 0], whole.images[0, 0])
    assert np.array_equal(context.texts[0, 1], whole.texts[0, 1])
    assert undemanding.tell(pictures[:2], CAPTIONS) == teller.tell(pictures[:2], CAPTIONS)


def test_pictures_alone_and_a_story_that_has_just_begun(undemanding, pictures):
    assert undemanding.tell(pictures[:2]) == undemanding.tell(pictures[:2], ["", " "])
    short, padded = (
        undemanding.read(*frames)
        for frames in ((pictures[:1], CAPTIONS[:1]), ([None, pictures[0]], [None, CAPTIONS[0]]))
    )
    assert short.captions == padded.captions == [["", CAPTIONS[0]]]
    assert np.array_equal(short.images, padded.images)
    assert undemanding.tell([None, None], CAPTIONS)
    with pytest.raises(UserError, match="no image and no caption"):
        undemanding.tell([None, None])


# --- the folder


def other_weights(folder: Path, out: Path) -> Path:
    """A copy of a backbone with one tensor changed."""
    shutil.copytree(folder, out)
    weights = load_file(out / "model.safetensors")
    name = next(name for name in sorted(weights) if weights[name].ndim == 2)
    weights[name] = weights[name] + np.float32(1)
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    return out


@pytest.mark.parametrize("backbone", ["clip", "decoder"])
def test_backbones_may_move_and_may_not_change(
    model, tiny_clip, tiny_gpt2, tmp_path, pictures, teller, backbone
):
    original = {"clip": tiny_clip, "decoder": tiny_gpt2}[backbone]
    moved = Path(shutil.copytree(original, tmp_path / "moved"))
    same = Storyteller.from_pretrained(model, **{backbone: moved})
    assert same.tell(pictures[:2], CAPTIONS) == teller.tell(pictures[:2], CAPTIONS)
    changed = other_weights(original, tmp_path / "changed")
    with pytest.raises(UserError, match=r"is not the CLIP that|trained with"):
        Storyteller.from_pretrained(model, **{backbone: changed})


def test_a_backbone_named_by_a_relative_path_is_found_above_the_model(
    model, tiny_clip, tmp_path, monkeypatch
):
    repository = tmp_path / "repository"
    shutil.copytree(tiny_clip, repository / "data/sample/clip")
    folder = repository / "data/models/final"
    teller = Storyteller.from_pretrained(model)
    teller.save_pretrained(folder)
    from pipeline.model.config import Encoder

    Encoder.read(folder).model_copy(update={"model": "data/sample/clip"}).write(folder)
    write_sums(folder)
    monkeypatch.chdir(tmp_path)
    found = Storyteller.from_pretrained(folder)
    assert Path(found.clip.folder.model) == repository / "data/sample/clip"


def test_a_saved_model_is_the_same_and_has_its_card(teller, pictures, tmp_path):
    card = tmp_path / "card.md"
    card.write_text("# A card\n")
    teller.save_pretrained(tmp_path / "out", card)
    assert (tmp_path / "out/README.md").read_text() == "# A card\n"
    again = Storyteller.from_pretrained(tmp_path / "out")
    assert again.tell(pictures[:2], CAPTIONS) == teller.tell(pictures[:2], CAPTIONS)
    with pytest.raises(UserError, match="there is no model card"):
        teller.save_pretrained(tmp_path / "other", tmp_path / "none.md")
    assert not (tmp_path / "other").exists()


def test_a_model_that_looks_its_captions_up_is_one_sentence(model, tmp_path):
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    params = read_params(folder)
    params["generate"]["strategy"] = "retrieve"
    write_json(folder / "params.json", params)
    write_sums(folder)
    with pytest.raises(UserError, match=r"generate\.strategy retrieve.* run dvc repro$"):
        Storyteller.from_pretrained(folder)


def test_what_is_no_model_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="is no model folder here"):
        Storyteller.from_pretrained(tmp_path / "none")
    with pytest.raises(UserError, match="is missing"):
        Storyteller.from_pretrained(tmp_path)
