import json
from pathlib import Path

import pytest

from benchmarks.backbones import CLIP_VOCABULARY, GPT2_VOCABULARY, build_clip, build_gpt2
from pipeline.clip.frozen import FrozenClip

TEXTS = ["Mara opens the door and looks into the hall.", "She runs on, over the bridge."] * 3


@pytest.mark.slow
def test_the_full_size_shapes_load_as_the_published_ones_do(tmp_path: Path) -> None:
    """One layer instead of twelve: the widths and vocabularies are what can go wrong."""
    from transformers import AutoTokenizer

    build_clip(tmp_path / "clip", TEXTS, layers=1)
    clip = FrozenClip.load(str(tmp_path / "clip"), precision="float32", batch_size=2)
    assert (clip.dim, clip.folder.image_size, clip.folder.text_positions) == (512, 224, 77)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "clip")
    ids = tokenizer(TEXTS[0])["input_ids"]
    assert (len(tokenizer), ids[0], ids[-1]) == (CLIP_VOCABULARY, 49406, 49407)
    assert clip.encode_texts(TEXTS[:2]).shape == (2, 512)

    build_gpt2(tmp_path / "gpt2", TEXTS, layers=1)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "gpt2")
    assert (len(tokenizer), tokenizer.eos_token_id) == (GPT2_VOCABULARY, 50256)
    assert tokenizer.pad_token is None
    assert tokenizer.decode(tokenizer(TEXTS[0])["input_ids"]) == TEXTS[0]
    config = json.loads((tmp_path / "gpt2" / "config.json").read_text())
    assert (config["n_embd"], config["n_head"], config["vocab_size"]) == (768, 12, 50257)
