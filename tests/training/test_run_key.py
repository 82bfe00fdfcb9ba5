"""A killed run's checkpoint is taken up by the same data, settings and code, and by no others."""

import re
from pathlib import Path

from pipeline.training.checkpoint import TRAINING_CODE, run_key

NO_SAY = {"common", "features", "params", "pretrained", "stories"}
"""Rooms that training imports from and that do not compute: what they give is in the key by its
value."""


def test_settings_data_and_every_module_count_and_their_order_does_not(tmp_path: Path) -> None:
    folder, module = tmp_path / "room", tmp_path / "alone.py"
    (folder / "inner").mkdir(parents=True)
    modules = [module, folder / "a.py", folder / "inner" / "b.py"]
    for path in modules:
        path.write_text(path.name)
    (folder / "notes.txt").write_text("no code")

    def key(seed: int = 0, data: bytes = b"data", code: tuple[Path, ...] = (folder, module)) -> str:
        return run_key({"seed": seed}, [data], code)

    same = key()
    assert key(code=(module, folder)) == same
    assert len({same, key(seed=1), key(data=b"other"), key(code=(folder,))}) == 4
    (folder / "notes.txt").write_text("still no code")
    assert key() == same
    for path in modules:
        before = key()
        path.write_text("changed")
        assert key() != before, path


def test_every_room_that_training_computes_with_is_in_the_key() -> None:
    code = "".join(module.read_text() for room in TRAINING_CODE for module in room.glob("*.py"))
    imported = set(re.findall(r"from pipeline\.(\w+)\.", code))
    assert imported - NO_SAY == {room.name for room in TRAINING_CODE}
