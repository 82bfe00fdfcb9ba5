"""Loading a tokenizer that is really there.

Where a folder has no vocabulary, Transformers makes an empty one up: then all captions are the
same to the model.
"""

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from pipeline.pretrained.folder import PretrainedFolder
from pipeline.pretrained.loading import sentences

WHOLE = "tokenizer.json"
"""The one file that holds a tokenizer alone."""
MODEL_PATTERNS = ("*.model", "*.spm", "*.tiktoken", "tekken.json")
ORDINARY_WORDS = "The old man opens the door and looks at the red box."


def load_tokenizer(folder: PretrainedFolder, embeddings: int) -> Any:
    """The tokenizer of a pretrained model.

    Args:
        embeddings: token embeddings that the model has.

    Raises:
        UserError: if its files are missing or cannot be read, if ordinary words are nothing to
            it, or if it has tokens that the model has no embedding for.
    """
    advice = "save the tokenizer that belongs to the model into the folder"
    with sentences(folder, "its tokenizer", advice):
        tokenizer = AutoTokenizer.from_pretrained(folder.path, trust_remote_code=False)
        ids = tokenizer(ORDINARY_WORDS, add_special_tokens=False)["input_ids"]
    if not _has_vocabulary(folder.path, tokenizer):
        raise folder.error(
            f"it has no tokenizer files (tokenizer.json, or vocab.json with merges.txt); {advice}"
        )
    if set(ids) <= {tokenizer.unk_token_id}:
        raise folder.error(f"its tokenizer knows no ordinary words; {advice}")
    last = max(tokenizer.get_vocab().values())
    if last >= embeddings:
        raise folder.error(
            f"its tokenizer counts tokens up to {last}, but the model has embeddings for "
            f"{embeddings}; {advice}"
        )
    return tokenizer


def _has_vocabulary(path: Path, tokenizer: Any) -> bool:
    """Whether the folder holds the files that the tokenizer's class is made from."""
    names = getattr(tokenizer, "vocab_files_names", None) or {}
    if not names:  # of bytes, say: nothing to store
        return True
    if (path / WHOLE).is_file() or any(any(path.glob(pattern)) for pattern in MODEL_PATTERNS):
        return True
    parts = set(names.values()) - {WHOLE}
    return bool(parts) and all((path / name).is_file() for name in parts)
