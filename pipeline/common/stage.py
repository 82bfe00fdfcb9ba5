"""What stages of the line have in common: their paths."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Inputs:
    """What training, captioning and evaluation start from; all of it made by earlier stages."""

    frames: Path
    """The table of frames, parquet."""
    splits: Path
    """Story ids of train, val and test, JSON."""
    images: Path
    """Folder of image features."""
    texts: Path
    """Folder of text features."""
