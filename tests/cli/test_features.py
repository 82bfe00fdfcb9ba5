"""`storycache features`, as users type it, on the cache and the store of a small project."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.common.home import storycache_home
from pipeline.features.cache import EncodeCache
from pipeline.features.embed import embed_images, embed_texts
from pipeline.features.store import FeatureStore
from tests.processes import ROOT, python
from tests.world import World, jpeg, load_clip, write_world

HOURS = 3600


@pytest.fixture
def project(tiny_clip: Path, tmp_path: Path) -> World:
    """A folder `project` with stories, features of both modalities, and the cache behind them."""
    stories = {
        f"s{s}": [(jpeg(10 * s + f), f"Frame {f} of story {s}.") for f in range(3)]
        for s in range(4)
    }
    world = write_world(tmp_path / "project" / "data", stories)
    clip = load_clip(tiny_clip)
    embed_images(clip, world.raw, world.frames, world.images)
    embed_texts(clip, world.frames, world.texts)
    return world


def features(world: World, *words: str) -> "subprocess.CompletedProcess[str]":
    return python("-m", "pipeline.cli", "features", *words, cwd=world.raw.parents[1], COLUMNS="200")


def printed(world: World, *words: str) -> str:
    done = features(world, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(world: World, *words: str) -> str:
    done = features(world, *words)
    assert done.returncode == 1 and done.stderr.startswith("error: "), done
    assert done.stderr.count("\n") == 1
    return done.stderr


def chunks(modality: str = "*") -> list[Path]:
    return sorted(storycache_home().glob(f"embeddings/{modality}-*/*.h5"))


def add_strangers(world: World, modality: str = "image", count: int = 5, chunk: int = 5) -> None:
    """Rows of the same encoder that no frame needs, in chunks."""
    store = FeatureStore.open(world.images if modality == "image" else world.texts)
    cache = EncodeCache(modality, store.fingerprint)
    for start in range(0, count, chunk):
        numbers = np.arange(start, start + chunk, dtype=">u8").view(np.uint8).reshape(-1, 8)
        keys = np.tile(numbers, (1, 4))
        vectors = np.random.default_rng(start).normal(size=(chunk, store.dim))
        cache.add(keys, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def make_older(hours: float, *paths: Path) -> None:
    then = time.time() - hours * HOURS
    for path in paths:
        os.utime(path, (then, then))


def test_ls_shows_whose_it_is_and_what_this_project_needs(project: World, tiny_clip: Path) -> None:
    add_strangers(project)
    header, image, text = printed(project, "ls").splitlines()
    assert header.split()[:3] == ["encoder", "modality", "rows"]
    assert image.split()[:3] == [str(tiny_clip), "image", "17"] and " 12/12 " in image
    assert text.split()[:3] == [str(tiny_clip), "text", "12"] and " 12/12 " in text
    found = {each["modality"]: each for each in json.loads(printed(project, "ls", "--json"))}
    store = FeatureStore.open(project.images)
    assert found["image"]["fingerprint"] == store.fingerprint
    assert found["image"]["settings"]["precision"] == store.attributes["precision"]
    assert (found["image"]["rows"], found["image"]["files"]) == (17, 2)
    assert found["text"]["last_use"] is not None
    for path in chunks("text"):
        path.unlink()
    assert json.loads(printed(project, "ls", "--json"))[1]["had"] == 0


def test_ls_of_a_folder_of_before_and_of_no_project(project: World, tmp_path: Path) -> None:
    for note in storycache_home().rglob("encoder.json"):
        note.unlink()
    start = FeatureStore.open(project.images).fingerprint[:16]
    project.frames.unlink()
    line = printed(project, "ls").splitlines()[1]
    assert line.split()[0] == start and "unknown" in line
    assert printed(project, "ls", "--home", str(tmp_path / "none")).count("\n") == 1


def test_verify_names_damage_and_sets_it_aside(project: World, tiny_clip: Path) -> None:
    assert "all files are whole" in printed(project, "verify")
    (path,) = chunks("image")
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    done = features(project, "verify")
    assert done.returncode == 1 and done.stdout.startswith(f"{path}: its content does not match")
    assert path.exists()
    assert f"now {path.name}.damaged" in printed(project, "verify", "--repair")
    assert not path.exists()
    assert "all files are whole" in printed(project, "verify")
    clip = load_clip(tiny_clip)
    assert embed_images(clip, project.raw, project.frames, project.images).encoded == 12
    assert path.read_bytes() == whole


def test_gc_deletes_what_this_project_does_not_need(project: World) -> None:
    needed = chunks()
    add_strangers(project)
    assert printed(project, "gc", "--yes").startswith("0.0 MB"), "all of it is young"
    make_older(2, *chunks())
    assert "image by" in printed(project, "gc", "--dry-run")
    assert len(chunks()) == 3
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "features", "gc"],
        cwd=project.raw.parents[1],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        input="n\n",
        capture_output=True,
        text=True,
    )
    assert ": 5 rows, 1 files" in done.stdout and len(chunks()) == 3
    printed(project, "gc", "--yes")
    assert chunks() == needed


def test_gc_keeps_what_any_of_several_datasets_needs(project: World, tmp_path: Path) -> None:
    other = write_world(tmp_path / "other" / "data", {"t": [(jpeg(999), "Another one.")]})
    make_older(2, *chunks())
    both = (str(project.raw.parents[1]), str(other.frames))
    printed(project, "gc", "--keep", *both, "--yes")
    assert len(chunks()) == 2
    printed(project, "gc", "--keep", str(other.frames), "--yes")
    assert chunks() == []
    assert list((storycache_home() / "embeddings").iterdir()) == []
    assert "is missing" in refusal(other, "gc", "--keep", "nothing.parquet")


def test_gc_of_an_encoder_and_of_what_is_old(project: World, tiny_clip: Path) -> None:
    make_older(2, *chunks())
    make_older(5 * 24, *storycache_home().glob("embeddings/text-*/encoder.json"))
    assert "nothing of an encoder other" in refusal(project, "gc", "--encoder", "other")
    dry = printed(project, "gc", "--encoder", str(tiny_clip), "--dry-run")
    assert dry.count("12 rows, 1 files") == 2
    printed(project, "gc", "--older-than", "4", "--yes")
    assert [path.parent.name[:5] for path in chunks()] == ["image"]


def test_gc_without_a_project_deletes_nothing(project: World) -> None:
    make_older(2, *chunks())
    project.frames.unlink()
    assert "frames.parquet is missing" in refusal(project, "gc", "--yes")
    assert len(chunks()) == 2


def test_compact_leaves_the_same_rows_in_fewer_files(project: World, tiny_clip: Path) -> None:
    add_strangers(project, "image", count=100, chunk=5)
    store = FeatureStore.open(project.images)
    before = EncodeCache("image", store.fingerprint)
    strangers = np.tile(np.arange(100, dtype=">u8").view(np.uint8).reshape(-1, 8), (1, 4))
    keys = np.concatenate([strangers, store.keys])
    vectors = before.read(keys)
    assert "21 files before, 1 now" in printed(project, "compact", "--encoder", str(tiny_clip))
    assert len(chunks("image")) == 1
    cache = EncodeCache("image", store.fingerprint)
    assert cache.read(keys).tobytes() == vectors.tobytes()
    assert sum(cache.files().values()) == 112
    assert before.read(keys).tobytes() == vectors.tobytes(), "a process that had it open goes on"
    content = chunks("image")[0].read_bytes()
    printed(project, "compact")
    assert chunks("image")[0].read_bytes() == content


@pytest.mark.parametrize("form", ["npy", "parquet", "hf", "faiss"])
def test_export_and_what_each_row_is(project: World, form: str, tmp_path: Path) -> None:
    if form == "faiss":
        pytest.importorskip("faiss")
    out = tmp_path / "out"
    assert "12 x 24" in printed(project, "export", str(out), "--to", form)
    store = FeatureStore.open(project.images)
    stored = store.lookup(store.keys)
    unit = stored / np.linalg.norm(stored, axis=1, keepdims=True)
    names = [key.tobytes().hex() for key in store.keys]
    assert pq.read_table(out / "keys.parquet").column("key").to_pylist() == names
    frames = pq.read_table(out / "frames.parquet").to_pylist()
    table = pq.read_table(project.frames).to_pylist()
    assert [(f["story_id"], f["frame_index"], names[f["row"]]) for f in frames] == [
        (f["story_id"], f["frame_index"], f["image_key"].hex()) for f in table
    ]
    if form == "npy":
        np.testing.assert_array_equal(np.load(out / "vectors.npy"), unit)
    elif form == "parquet":
        found = pq.read_table(out / "embeddings.parquet")
        assert found.schema.field("embedding").type == pa.list_(pa.float16(), 24)
        assert found.column("key").to_pylist() == names
        flat = found.column("embedding").combine_chunks().flatten().to_numpy()
        np.testing.assert_array_equal(flat.reshape(12, 24), stored.astype(np.float16))
    elif form == "hf":
        import datasets

        found = datasets.load_from_disk(str(out / "dataset"))
        assert found["key"][:] == names
        np.testing.assert_array_equal(np.array(found["embedding"][:], np.float32), stored)
    else:
        import faiss

        index = faiss.read_index(str(out / "index.faiss"))
        np.testing.assert_array_equal(index.reconstruct_n(0, 12), unit)
        assert index.metric_type == faiss.METRIC_INNER_PRODUCT
    assert "is there already" in refusal(project, "export", str(out), "--to", form)


def test_export_of_the_cache_itself(project: World, tmp_path: Path) -> None:
    """Rows that several files hold come once."""
    store = FeatureStore.open(project.images)
    EncodeCache("image", store.fingerprint).add(store.keys[2:5], store.lookup(store.keys[2:5]))
    (folder,) = {str(path.parent) for path in chunks("image")}
    out = tmp_path / "out"
    assert "12 x 24" in printed(project, "export", str(out), "--to", "npy", "--from", folder)
    assert not (out / "frames.parquet").exists()
    names = pq.read_table(out / "keys.parquet").column("key").to_pylist()
    assert sorted(names) == sorted(key.tobytes().hex() for key in store.keys)


def test_what_was_exported_can_be_imported(project: World, tmp_path: Path, tiny_clip: Path) -> None:
    printed(project, "export", str(tmp_path / "out"), "--to", "npy")
    stored = FeatureStore.open(project.images)
    vectors, keys = tmp_path / "out" / "vectors.npy", tmp_path / "out" / "keys.parquet"
    words = ("import", str(vectors), str(keys), "--like", "data/features/image")
    assert "12 rows, 0 of them new" in printed(project, *words)
    home = ("--home", str(tmp_path / "home"))
    assert "12 rows, 12 of them new" in printed(project, *words, *home)
    assert str(tiny_clip) in printed(project, "ls", *home)
    found = EncodeCache("image", stored.fingerprint, tmp_path / "home").read(stored.keys)
    np.testing.assert_allclose(found, stored.lookup(stored.keys), atol=1e-3)
    by_name = ("--fingerprint", stored.fingerprint, "--modality", "image")
    assert "0 of them new" in printed(project, *words[:3], *by_name, *home)
    assert "64 letters" in refusal(project, *words[:3], "--fingerprint", "abc")


def test_the_reader_of_the_documentation(project: World) -> None:
    text = (ROOT / "docs/features.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(code.splitlines()) <= 20
    defined: dict = {}
    exec(code, defined)
    store = FeatureStore.open(project.images)
    found = defined["read_store"](project.images)
    assert list(found) == [key.tobytes().hex() for key in store.keys]
    np.testing.assert_array_equal(np.stack([*found.values()]), store.lookup(store.keys))
    assert len(defined["read_store"](chunks("text")[0].parent)) == 12
    (path,) = project.images.glob("*.h5")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(OSError, match="is damaged"):
        defined["read_store"](project.images)
