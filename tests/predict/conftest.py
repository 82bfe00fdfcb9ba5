"""A story for the random model."""

from pathlib import Path

import pytest

from tests.world import jpeg

K = 2
CAPTIONS = ["Mara opens the door.", "Tom pours the tea in the kitchen."]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three pictures as files."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{number}.jpg" for number in range(3)]
    for seed, path in enumerate(paths):
        path.write_bytes(jpeg(seed))
    return paths
