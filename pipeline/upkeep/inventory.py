"""What lies in the encode cache: whose it is, how much, and what a dataset needs of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.common.errors import UserError
from pipeline.common.files import read_json
from pipeline.common.keys import Keys
from pipeline.features.cache import EMBEDDINGS, ENCODER_FILE, EncodeCache
from pipeline.features.store import Shard, key_array
from pipeline.stories.frames import read_frames

KEY_COLUMNS = {"image": "image_key", "text": "caption_key"}
"""Of the frames table, by modality."""
_NAME = re.compile(r"(image|text)-([0-9a-f]{16})")


@dataclass(frozen=True)
class Encoder:
    """The folder of one encoder and modality."""

    home: Path
    folder: Path
    modality: str
    fingerprint: str
    """Whole, or its first 16 letters where no file in the folder can be read."""
    settings: dict[str, Any]
    """As `FrozenClip.settings`; empty where an older version of this code filled the folder."""
    used: datetime | None
    """When it was used last, where that is known."""

    @property
    def name(self) -> str:
        """Model and revision, or what there is instead."""
        if "model" not in self.settings:
            return self.fingerprint[:16]
        revision = self.settings.get("revision")
        return self.settings["model"] + (f"@{revision[:12]}" if revision else "")

    def cache(self) -> EncodeCache:
        """Opened, without being used by that."""
        return EncodeCache(self.modality, self.fingerprint, self.home)

    def files(self) -> list[Path]:
        """Chunk files, the oldest first."""
        dated = [(state.st_mtime_ns, path) for path, state in _states(self.folder, "*.h5")]
        return [path for _, path in sorted(dated)]

    def bytes(self) -> int:
        """What everything in the folder takes, the index and damaged files too."""
        return sum(state.st_size for _, state in _states(self.folder, "**/*"))

    def is_named(self, name: str) -> bool:
        """Whether `name` is this encoder's model, folder, or the start of its fingerprint."""
        model = self.settings.get("model")
        started = len(name) >= 4 and self.fingerprint.startswith(name)
        return started or name in (self.name, self.folder.name, model)

    def __str__(self) -> str:
        return f"{self.modality} by {self.name}"


def find_encoders(home: Path, name: str | None = None) -> list[Encoder]:
    """The encoders whose embeddings are in the cache, or those that `name` names.

    Raises:
        UserError: no encoder has that name.
    """
    folders = sorted((home / EMBEDDINGS).glob("*-*"))
    found = [encoder for folder in folders if (encoder := _look_at(home, folder))]
    if name is None:
        return found
    named = [encoder for encoder in found if encoder.is_named(name)]
    if not named:
        raise UserError(
            f"{home / EMBEDDINGS} holds nothing of an encoder {name}; storycache features ls shows "
            "what it holds"
        )
    return named


def keys_needed(frames: Path, modality: str) -> Keys:
    """The different contents of a frames table.

    Raises:
        UserError: if it cannot be read.
    """
    keys = key_array(read_frames(frames, [KEY_COLUMNS[modality]]).column(0))
    return np.unique(keys, axis=0)


def _look_at(home: Path, folder: Path) -> Encoder | None:
    name = _NAME.fullmatch(folder.name)
    if name is None or not folder.is_dir():
        return None
    modality, start = name.groups()
    note = folder / ENCODER_FILE
    settings: dict[str, Any] = {}
    used = None
    if note.exists():
        used = datetime.fromtimestamp(note.stat().st_mtime)
        settings = read_json(note)
    fingerprint = settings.pop("fingerprint", None) or _fingerprint(folder) or start
    return Encoder(home, folder, modality, str(fingerprint), settings, used)


def _fingerprint(folder: Path) -> str | None:
    """As the first sound file of a folder has it."""
    for path in sorted(folder.glob("*.h5")):
        try:
            return str(Shard.open(path).attributes["fingerprint"])
        except (OSError, KeyError):
            continue
    return None


def _states(folder: Path, pattern: str) -> Iterator[tuple[Path, Any]]:
    """The files in a folder in which other processes work, with their states."""
    for path in folder.glob(pattern):
        try:
            if path.is_file():
                yield path, path.stat()
        except FileNotFoundError:
            continue
