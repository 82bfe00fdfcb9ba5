import hashlib
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.clip.frozen import FrozenClip
from pipeline.common.errors import UserError
from pipeline.common.home import storycache_home
from pipeline.features import store as store_module
from pipeline.features.embed import CachedTexts, cache_images, embed_images, embed_texts
from pipeline.features.jobs import TextJob
from pipeline.features.store import FeatureStore
from tests.features.conftest import shards, stage, with_column
from tests.processes import python


@pytest.fixture
def clip(tiny_clip: Path) -> FrozenClip:
    """Its batch size makes chunks of 16 images and 64 captions."""
    return FrozenClip.load(str(tiny_clip), precision="float32", batch_size=2)


def test_every_distinct_image_is_published_once_in_order(clip, tiny_data, tmp_path: Path) -> None:
    report = embed_images(clip, tiny_data.raw, tiny_data.frames, tmp_path / "out")
    store = FeatureStore.open(tmp_path / "out")
    expected = list(dict.fromkeys(hashlib.sha256(data).digest() for data in tiny_data.pictures))
    assert [key.tobytes() for key in store.keys] == expected
    assert (report.rows, report.distinct, report.encoded) == (42, 40, 40)
    assert "42 rows, 40 distinct, 0 from the cache, 40 encoded" in str(report)
    keys = [hashlib.sha256(data).digest() for data in tiny_data.pictures]
    pixels = np.stack([clip.preprocess(data) for data in tiny_data.pictures])
    direct = clip.encode_images(pixels).astype(np.float16)
    np.testing.assert_array_equal(store.lookup(keys), direct)
    assert store.fingerprint == clip.fingerprint("image")
    assert FrozenClip.rebuild(store.attributes).fingerprint("image") == store.fingerprint


def test_captions_likewise(clip, tiny_data, tmp_path: Path) -> None:
    report = embed_texts(clip, tiny_data.frames, tmp_path / "out")
    store = FeatureStore.open(tmp_path / "out")
    assert (report.rows, report.distinct, report.encoded) == (42, 40, 40)
    keys = [hashlib.sha256(text.encode()).digest() for text in tiny_data.captions]
    direct = clip.encode_texts(tiny_data.captions).astype(np.float16)
    np.testing.assert_array_equal(store.lookup(keys), direct)
    rebuilt = FrozenClip.rebuild(store.attributes, batch_size=2)
    again = rebuilt.encode_texts(tiny_data.captions[:3]).astype(np.float16)
    np.testing.assert_array_equal(again, direct[:3])


def test_large_datasets_are_cut_into_shards(clip, tiny_data, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("pipeline.features.embed.SHARD_ROWS", 16)
    embed_texts(clip, tiny_data.frames, tmp_path / "out")
    assert list(shards(tmp_path / "out")) == ["00000.h5", "00001.h5", "00002.h5"]
    assert len(FeatureStore.open(tmp_path / "out")) == 40
    assert store_module.SHARD_ROWS == 8192


def test_a_second_run_reads_no_image(clip, tiny_data, tmp_path: Path) -> None:
    embed_images(clip, tiny_data.raw, tiny_data.frames, tmp_path / "first")
    report = embed_images(clip, tmp_path / "gone", tiny_data.frames, tmp_path / "second")
    assert report.encoded == 0
    assert shards(tmp_path / "first") == shards(tmp_path / "second")


def test_some_images_alone_are_cached(clip, tiny_data, tmp_path: Path) -> None:
    wanted = [hashlib.sha256(tiny_data.pictures[i]).digest() for i in (7, 3, 7)]
    keys = np.frombuffer(b"".join(wanted), np.uint8).reshape(3, 32)
    found = cache_images(clip, tiny_data.raw, tiny_data.frames, keys).read(keys)
    pixels = np.stack([clip.preprocess(tiny_data.pictures[i]) for i in (7, 3, 7)])
    np.testing.assert_array_equal(found, clip.encode_images(pixels).astype(np.float16))
    again = cache_images(clip, tmp_path / "gone", tiny_data.frames, keys)
    np.testing.assert_array_equal(again.read(keys), found, "no image was read again")
    report = embed_images(clip, tiny_data.raw, tiny_data.frames, tmp_path / "out")
    assert report.encoded == report.distinct - 2


@pytest.mark.parametrize("few_files", [1, 8], ids=["indexed", "few"])
@pytest.mark.parametrize("modality", ["image", "text"])
def test_any_part_of_the_cache_may_be_lost(
    clip, tiny_data, tmp_path: Path, modality: str, few_files: int, capsys, monkeypatch
) -> None:
    """Whatever chunks are missing or damaged, the published bytes are the same."""
    monkeypatch.setattr("pipeline.common.chunk_index.FEW_FILES", few_files)

    def run(name: str) -> dict[str, bytes]:
        if modality == "image":
            embed_images(clip, tiny_data.raw, tiny_data.frames, tmp_path / name)
        else:
            embed_texts(clip, tiny_data.frames, tmp_path / name)
        return shards(tmp_path / name)

    whole = run("whole")
    (folder,) = (storycache_home() / "embeddings").iterdir()
    files = sorted(folder.glob("*.h5"))
    assert len(files) == (3 if modality == "image" else 1)
    for i, file in enumerate(files):
        file.unlink()
        assert run(f"without-{i}") == whole
        file.write_bytes(file.read_bytes()[:700])
        assert run(f"damaged-{i}") == whole
        assert f"warning: ignoring {file}" in capsys.readouterr().err


def test_rows_known_from_another_dataset_are_not_encoded_again(
    clip, tiny_data, tmp_path: Path
) -> None:
    """Ten new stories encode ten stories, and give what one run over all would have given."""
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(tiny_data.frames).slice(6, 17), tmp_path / "some.parquet")
    first = embed_texts(clip, tmp_path / "some.parquet", tmp_path / "some")
    second = embed_texts(clip, tiny_data.frames, tmp_path / "all")
    assert first.encoded + second.encoded == 40
    shutil.rmtree(storycache_home())
    embed_texts(clip, tiny_data.frames, tmp_path / "fresh")
    assert shards(tmp_path / "all") == shards(tmp_path / "fresh")


def test_settings_of_the_other_modality_change_nothing(tiny_clip, tiny_data, tmp_path) -> None:
    for name, settings in (("a", {}), ("b", {"image_fit": "pad"})):
        clip = FrozenClip.load(str(tiny_clip), precision="float32", batch_size=2, **settings)
        embed_texts(clip, tiny_data.frames, tmp_path / name)
    assert shards(tmp_path / "a") == shards(tmp_path / "b")


def test_an_image_that_cannot_be_decoded_is_named(clip, tiny_data, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = tiny_data.raw / "train" / "00000.parquet"
    table = pq.read_table(file)
    stories = table.to_pylist()
    stories[4]["images"][2]["bytes"] = b"no image"
    (tmp_path / "raw" / "train").mkdir(parents=True)
    changed = pa.Table.from_pylist(stories, schema=table.schema)
    pq.write_table(changed, tmp_path / "raw" / "train" / "00000.parquet")
    with pytest.raises(UserError, match="image 3 of story s4 has changed since prepare"):
        embed_images(clip, tmp_path / "raw", tiny_data.frames, tmp_path / "out")

    row = 4 * 6 + 2
    keys = [hashlib.sha256(data).digest() for data in tiny_data.pictures]
    keys[row] = hashlib.sha256(b"no image").digest()
    frames = with_column(tiny_data, "broken.parquet", "image_key", keys).frames
    with pytest.raises(UserError, match="image 3 of story s4: the image cannot be decoded"):
        embed_images(clip, tmp_path / "raw", frames, tmp_path / "out")
    # Chunks that were finished before it are kept.
    assert len(list((storycache_home() / "embeddings").rglob("*.h5"))) == 1


def test_raw_stories_of_another_dataset_are_noticed(clip, tiny_data, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing"):
        embed_images(clip, tmp_path / "raw", tiny_data.frames, tmp_path / "out")
    beyond = with_column(tiny_data, "beyond.parquet", "image_row", [10**6] * 42).frames
    with pytest.raises(UserError, match="not the file that the frames table was made from"):
        embed_images(clip, tiny_data.raw, beyond, tmp_path / "out")


TEXTS = [f"Mara opens door number {i} and looks into the hall." for i in range(9)]


def test_the_same_vectors_from_encoder_and_cache(clip: FrozenClip) -> None:
    encoded: list[int] = []
    first = CachedTexts(clip).embed(TEXTS, encoded.append)
    assert sum(encoded) == len(TEXTS)
    assert np.abs(first - clip.encode_texts(TEXTS)).max() < 1e-3
    again = CachedTexts(clip).embed(TEXTS[::-1], encoded.append)
    assert sum(encoded) == len(TEXTS), "nothing more was encoded"
    assert np.array_equal(again, first[::-1])


def test_what_is_missing_alone_is_encoded_and_kept_in_parts(
    clip: FrozenClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = CachedTexts(clip)
    texts.embed(TEXTS[:3])
    encoded: list[int] = []
    monkeypatch.setattr(TextJob, "chunk_batches", 2)
    found = texts.embed(TEXTS, encoded.append)
    assert sum(encoded) == 6
    assert np.array_equal(found[:3], texts.embed(TEXTS[:3]))
    assert len(list(texts._cache.folder.glob("*.h5"))) == 1 + 2, "three, then four and two"


def test_no_texts(clip: FrozenClip) -> None:
    assert CachedTexts(clip).embed([]).shape == (0, 24)


@pytest.mark.slow
def test_a_killed_run_goes_on_and_publishes_the_same_bytes(
    project: Path, tiny_data, tmp_path: Path
) -> None:
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    process = stage(project, calm, "image", tiny_data)
    assert "40 encoded" in process.communicate()[0] and process.returncode == 0
    undisturbed = shards(project / "out")
    shutil.rmtree(project / "out")

    process = stage(project, rough, "image", tiny_data)
    while process.poll() is None and not list(rough.rglob("*.h5")):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it finished before it could be killed"
    assert not (project / "out").exists()

    process = stage(project, rough, "image", tiny_data)
    printed = process.communicate()[0]
    assert process.returncode == 0
    assert "40 encoded" not in printed  # finished chunks were not encoded again
    assert shards(project / "out") == undisturbed


@pytest.mark.slow
def test_the_stage_that_finds_everything_cached_loads_no_torch(project, tiny_data, tmp_path):
    for _ in range(2):
        process = stage(project, tmp_path / "home", "text", tiny_data)
        printed = process.communicate()[0]
        assert process.returncode == 0
    assert "40 from the cache, 0 encoded" in printed
    code = (
        "import sys; from pathlib import Path; from stages.embed import text;"
        f"text(Path({str(tiny_data.frames)!r}), Path('out'));"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    done = python("-c", code, cwd=project, STORYCACHE_HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
