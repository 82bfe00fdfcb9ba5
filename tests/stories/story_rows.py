"""Small stories in the raw schema, for tests: real encoded pictures, real tags."""

import functools
import io
from typing import Any

from PIL import Image


@functools.cache
def encoded_image(value: int = 0, size: tuple[int, int] = (48, 24), form: str = "JPEG") -> bytes:
    """A picture that differs with `value` (0 to 255)."""
    picture = Image.linear_gradient("L").resize(size).convert("RGB")
    picture.paste((value, 255 - value, 40), (0, 0, size[0] // 2, size[1] // 2))
    file = io.BytesIO()
    picture.save(file, form)
    return file.getvalue()


def story_row(story_id: str, n_frames: int = 5, **changes: Any) -> dict[str, Any]:
    """A sound row of `STORY_SCHEMA` with captions "Frame 1 of s tells it." ...; then `changes`."""
    text = "".join(
        f"<gdi image{n}>\n<gdo char1>Frame</gdo> {n} of {story_id} <gda char1>tells</gda> it.\n"
        + ("</gdi>\n\n" if n % 2 else "")
        for n in range(1, n_frames + 1)
    )
    row = {
        "story_id": story_id,
        "images": [
            {"bytes": encoded_image(n), "path": f"{story_id}-{n}.jpg"} for n in range(n_frames)
        ],
        "frame_count": n_frames,
        "chain_of_thought": "## Image 1\n| Character | Look |",
        "story": text,
    }
    return row | changes
