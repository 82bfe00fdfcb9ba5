"""The world that is built by hand is the one that the stages would build."""

from pipeline.features.embed import embed_images, embed_texts
from pipeline.features.store import FeatureStore
from pipeline.prepare.catalogue import prepare
from tests.world import jpeg, load_clip, write_features, write_world


def test_the_tables_are_what_prepare_makes_of_the_raw_files(tmp_path):
    stories = {
        f"s{n}": [(jpeg(3 * n + i), f"Frame {i} of {n}.") for i in range(3)] for n in range(4)
    }
    world = write_world(tmp_path, stories, {"t": stories["s1"]})
    out = tmp_path / "prepared"
    names = ("frames.parquet", "annotations.parquet", "summary.json", "quarantine.jsonl", "plots")
    prepare(world.raw, *(out / name for name in names), "story")
    assert (out / "frames.parquet").read_bytes() == world.frames.read_bytes()
    assert (out / "annotations.parquet").read_bytes() == world.annotations.read_bytes()


def test_features_are_those_that_the_embed_stages_publish(tmp_path, tiny_clip):
    clip = load_clip(tiny_clip)
    world = write_world(tmp_path, {"s": [(jpeg(i % 2), f"Frame {i // 2}.") for i in range(4)]})
    write_features(world, clip)
    embed_images(clip, world.raw, world.frames, tmp_path / "image")
    embed_texts(clip, world.frames, tmp_path / "text")
    for ours, published in ((world.images, "image"), (world.texts, "text")):
        stores = FeatureStore.open(ours), FeatureStore.open(tmp_path / published)
        assert stores[0].attributes == stores[1].attributes
        assert (stores[0].keys == stores[1].keys).all()
        wanted = stores[0].keys
        assert abs(stores[0].lookup(wanted) - stores[1].lookup(wanted)).max() < 1e-3
