import itertools
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clip.frozen import FrozenClip
from pipeline.features.store import SHARD_ROWS, publish_shards
from pipeline.upkeep.plan import Rates, make_plan, mean_image_bytes, measure_rates
from tests.world import jpeg, write_world


def test_a_plan_by_hand() -> None:
    """ViT-B/32 on 64 GPUs: 100 million frames."""
    plan = make_plan(100_000_000, 64, Rates(1000.0, 2000.0), 50_000, 512, 256, price_per_hour=2.0)
    assert plan.image_hours == pytest.approx(1e8 / 64 / 1000 / 3600)
    assert plan.caption_hours == pytest.approx(plan.image_hours / 2)
    assert plan.price == pytest.approx(2.0 * 64 * (plan.image_hours + plan.caption_hours))
    assert plan.raw_bytes == 5e12
    assert plan.feature_bytes == pytest.approx(2 * 1e8 * (1024 + 32), rel=0.001)
    assert plan.files == 2 * -(-100_000_000 // SHARD_ROWS)
    assert plan.chunks == -(-100_000_000 // (8 * 256)) + -(-100_000_000 // (32 * 256))
    assert plan.chunk_seconds == 32 * 256 / 2000


@given(st.integers(1, 10**10), st.integers(1, 1000))
def test_more_workers_take_less_time_and_cost_the_same(frames: int, workers: int) -> None:
    one = make_plan(frames, 1, Rates(10.0, 20.0), 1000, 512, 32, 1.0)
    many = make_plan(frames, workers, Rates(10.0, 20.0), 1000, 512, 32, 1.0)
    assert many.image_hours * workers == pytest.approx(one.image_hours)
    assert many.price == pytest.approx(one.price)
    assert (many.feature_bytes, many.files) == (one.feature_bytes, one.files)


@pytest.mark.parametrize("frames", [1, 100, SHARD_ROWS + 1])
def test_shards_are_as_large_as_planned(frames: int, tmp_path: Path) -> None:
    dim = 64
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 256, (frames, 32), np.uint8)
    vectors = rng.normal(size=(frames, dim))
    parts = [slice(start, start + SHARD_ROWS) for start in range(0, frames, SHARD_ROWS)]
    settings = {"model": "openai/clip-vit-base-patch32", "modality": "image", "fingerprint": "0"}
    publish_shards(tmp_path, ((keys[part], vectors[part]) for part in parts), settings)
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    plan = make_plan(frames, 1, Rates(1.0, 1.0), 1, dim, 32)
    assert plan.files == 2 * len(sizes)
    assert 0 <= plan.feature_bytes - 2 * sum(sizes) < 2 * 8192 * len(sizes)


def test_rates_are_rows_over_seconds_on_the_stories_at_hand(
    tmp_path: Path, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that ticks once for each batch: three of them in three seconds."""
    world = write_world(tmp_path, {"s": [(jpeg(i % 5), f"It is {i}.") for i in range(6)]})
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    clip = FrozenClip.load(str(tiny_clip), precision="float32", batch_size=2)
    rates = measure_rates(clip, world.raw, world.frames, 3.0)
    # Five different images are batches of 2, 2 and 1, of which the first warms up; two are counted
    # in the seconds 1 and 2. Six captions are one batch, time and again.
    assert rates.images == pytest.approx((2 + 1) / 3)
    assert rates.captions == pytest.approx((6 + 6) / 3)
    distinct = list(dict.fromkeys(world.pictures))
    mean = np.mean([len(picture) for picture in distinct])
    assert mean_image_bytes(world.raw, world.frames) == pytest.approx(mean)
