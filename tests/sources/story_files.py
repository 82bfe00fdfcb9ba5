"""Stories as files of one's own, for tests: folders of pictures, and JSON lines beside them."""

import json
from pathlib import Path
from typing import Any

from tests.stories.story_rows import encoded_image


def write_folder(folder: Path, captions: dict[str, str | None], first: int = 0) -> Path:
    """A story of pictures of these names, each with its caption beside it if it has one."""
    folder.mkdir(parents=True)
    for number, (name, caption) in enumerate(captions.items(), start=first):
        (folder / name).write_bytes(encoded_image(number % 256))
        if caption is not None:
            (folder / name).with_suffix(".txt").write_text(caption, encoding="utf-8")
    return folder


def write_lines(path: Path, *stories: Any) -> Path:
    """JSON lines: a story, or bytes as they are, in each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in stories]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def line(story_id: Any, *frames: tuple[str, Any], **changes: Any) -> dict[str, Any]:
    """A line's values: frames are pairs of path and caption."""
    return {
        "story_id": story_id,
        "frames": [{"image": image, "caption": caption} for image, caption in frames],
        **changes,
    }
