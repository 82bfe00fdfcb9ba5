"""Which stories are the same: by id within a split, by content across the splits."""

from dataclasses import replace

from pipeline.prepare.examination import Story
from pipeline.stories.frames import content_key


class Identity:
    """What is remembered of all stories kept: a few digests of 16 bytes for each."""

    def __init__(self) -> None:
        self._ids: set[bytes] = set()  # of split and id
        self._names: set[bytes] = set()
        self._contents: dict[str, set[bytes]] = {}  # split -> of pictures and captions

    def is_taken(self, split: str, story_id: str) -> bool:
        """Whether a story of this split has this id."""
        return _digest(split, story_id) in self._ids

    def named(self, split: str, story: Story) -> Story:
        """Take a story's id, which must be free, and give the story the one name that all know.

        That is its id. Ids may be counted anew in each split, so where a story of another split has
        that name already, it is `split/id`.
        """
        self._ids.add(_digest(split, story.story_id))
        name = story.story_id
        while _digest(name) in self._names:
            name = f"{split}/{name}"
        self._names.add(_digest(name))
        return replace(story, story_id=name)

    def is_elsewhere(self, split: str, story: Story) -> bool:
        """Whether a story of another split had the same pictures and captions; remembers this."""
        captions = [content_key(caption.encode()) for caption in story.captions]
        content = content_key(b"".join([*story.image_keys, *captions]))[:16]
        found = any(content in held for other, held in self._contents.items() if other != split)
        self._contents.setdefault(split, set()).add(content)
        return found


def _digest(*parts: str) -> bytes:
    return content_key("\0".join(parts).encode())[:16]
