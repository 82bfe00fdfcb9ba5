"""Prompt form, limits, end-of-text."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from pipeline.common.errors import UserError
from pipeline.model.config import GeneratorConfig
from pipeline.model.language_model import load_prompts
from pipeline.model.prompt import (
    MIN_TARGET_TOKENS,
    PromptBuilder,
    _even_shares,
    prompt_text,
    target_text,
)
from pipeline.params import PromptParams
from pipeline.params import load_params as read_params
from tests.backbones import CORPUS
from tests.model.conftest import MakeConfig
from tests.processes import python


def params(words: int = 25, target: int = 40, sequence: int = 200) -> PromptParams:
    return PromptParams(
        words_per_caption=words, max_target_tokens=target, max_sequence_tokens=sequence
    )


class Letters:
    """A tokenizer of one token per character: lengths can be counted by hand."""

    eos_token_id = 0

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return [ord(c) for c in text]

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool) -> str:
        return "".join(map(chr, token_ids))


def test_the_form() -> None:
    captions = ["Anna  looks up\nslowly", "Bram waits"]
    assert prompt_text(captions, 3) == "1. Anna looks up\n2. Bram waits\n3."
    assert target_text("He smiles.") == " He smiles."


def test_a_prompt_without_captions_is_a_number() -> None:
    builder = PromptBuilder(Letters(), params(words=0))
    prompt, target = builder.example_ids(["Anna looks up", "Bram waits"], "abc")
    assert "".join(map(chr, prompt)) == "1."
    assert target == [ord(c) for c in " abc"] + [0]


def test_imports_no_torch() -> None:
    code = "import sys, pipeline.model.prompt; sys.exit('torch' in sys.modules)"
    assert python("-c", code).returncode == 0


def test_with_a_real_tokenizer(tiny_gpt2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_gpt2)
    builder = PromptBuilder(tokenizer, params())
    prompt, target = builder.example_ids(["Mara opens the door."], "The lamp is lit.")
    assert tokenizer.decode(prompt) == "1. Mara opens the door.\n2."
    assert target[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(target[:-1]) == " The lamp is lit."
    assert builder.decode(target) == "The lamp is lit."
    nul = tokenizer.encode("a\0b")
    assert "\0" in tokenizer.decode(nul) and builder.decode(nul) == "a b"


def test_a_special_token_in_a_caption_is_text(tiny_gpt2: Path) -> None:
    settings = {name: getattr(read_params(), name) for name in ("decoder", "fusion", "prompt")}
    settings["decoder"] = settings["decoder"].model_copy(update={"model": str(tiny_gpt2)})
    builder = load_prompts(GeneratorConfig(k=1, dim_image=2, dim_text=2, **settings))
    plain = PromptBuilder(AutoTokenizer.from_pretrained(tiny_gpt2), settings["prompt"])
    caption = "Mara reads <|endoftext|> aloud."
    prompt, target = builder.example_ids([caption], caption)
    assert builder.eos_id not in prompt
    assert target.index(builder.eos_id) == len(target) - 1
    assert builder.tokenizer.decode(prompt) == f"1. {caption}\n2."
    assert builder.decode(target) == caption
    ordinary = ["Mara opens the door.", "naïve — 東京 🚂"]
    assert builder.example_ids(ordinary, ordinary[1]) == plain.example_ids(ordinary, ordinary[1])


def test_end_of_text_only_where_the_target_fits() -> None:
    builder = PromptBuilder(Letters(), params(target=5))
    assert builder.target_ids("abc") == [ord(c) for c in " abc"] + [0]
    assert builder.target_ids("abcd") == [ord(c) for c in " abcd"]


def test_without_end_of_text_the_target_is_its_words_alone() -> None:
    settings = params(target=5).model_copy(update={"end_of_text": False})
    builder = PromptBuilder(Letters(), settings)
    assert builder.target_ids("abc") == [ord(c) for c in " abc"]
    assert builder.target_ids("abcde") == [ord(c) for c in " abcd"]


def test_a_long_pair_loses_the_end_of_the_target() -> None:
    builder = PromptBuilder(Letters(), params(sequence=60))
    prompt, target = builder.example_ids(["x" * 25], "y" * 50)
    assert "".join(map(chr, prompt)) == "1. " + "x" * 25 + "\n2."
    assert len(prompt) + len(target) == 60
    assert 0 not in target


def test_a_long_prompt_loses_words_of_its_oldest_lines_first() -> None:
    words = "aaaa bbbb cccc"
    whole = prompt_text([words, words], 25)
    builder = PromptBuilder(
        Letters(), params(sequence=len(whole) - 1 + MIN_TARGET_TOKENS, target=9)
    )
    assert builder.prompt_ids([words, words]) == Letters().encode(
        "1. aaaa bbbb\n2. aaaa bbbb cccc\n3.", add_special_tokens=False
    )


def test_a_limit_below_the_bare_lines_is_refused() -> None:
    with pytest.raises(UserError, match="max_sequence_tokens: 20 is too small"):
        PromptBuilder(Letters(), params(sequence=20, target=9)).prompt_ids(["a"] * 9)


@given(
    st.lists(st.lists(st.text("ab", min_size=1, max_size=6), max_size=30), min_size=1, max_size=5),
    st.integers(60, 300),
)
@settings(max_examples=60)
def test_every_pair_keeps_to_the_limits(captions: list[list[str]], sequence: int) -> None:
    builder = PromptBuilder(Letters(), params(sequence=sequence, target=50))
    lines = [" ".join(words) for words in captions]
    prompt, target = builder.example_ids(lines, "y" * 100)
    assert len(prompt) + len(target) <= sequence
    assert len(target) >= MIN_TARGET_TOKENS
    text = "".join(map(chr, prompt))
    assert text.count("\n") == len(lines)
    assert text.endswith(f"\n{len(lines) + 1}.")


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.data())
def test_shares_are_even(lengths: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(0, sum(lengths)))
    expected = list(lengths)
    while sum(expected) > total:  # the rule, word by word
        expected[expected.index(max(expected))] -= 1
    assert _even_shares(lengths, total) == expected


@pytest.fixture(scope="module")
def llama2() -> PreTrainedTokenizerFast:
    """In the manner of Llama 2's: `▁` for a space and before any text, and `<s>` before all.

    Words of the corpus are tokens of their own, all else is bytes.
    """
    words = sorted({f"▁{word}" for text in CORPUS for word in text.split()})
    characters = sorted({c for text in (*CORPUS, "1234.\n") for c in text} | {"▁"})
    vocab = {t: i for i, t in enumerate(dict.fromkeys(["<unk>", "<s>", "</s>", *characters]))}
    merges = []
    for word in words:  # from left to right, as many tokens as letters
        for end in range(1, len(word)):
            if word[: end + 1] not in vocab:
                merges.append((word[:end], word[end]))
                vocab[word[: end + 1]] = len(vocab)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", vocab["<s>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


@given(
    st.lists(st.sampled_from(CORPUS), min_size=1, max_size=3),
    st.sampled_from(CORPUS),
    st.integers(1, 12),
)
@settings(max_examples=40)
def test_prompt_and_target_are_the_text_as_the_tokenizer_reads_it(
    llama2: PreTrainedTokenizerFast, captions: list[str], caption: str, words: int
) -> None:
    builder = PromptBuilder(llama2, params(words=words, target=300, sequence=2000))
    prompt, target = builder.example_ids(captions, caption)
    text = prompt_text(captions, words) + target_text(caption)
    assert [*builder.opening, *prompt, *target] == [*llama2.encode(text), llama2.eos_token_id]
    assert llama2.convert_ids_to_tokens(target[:1]) == [f"▁{caption.split()[0]}"]
    assert builder.decode(target) == caption


def test_a_target_alone_would_begin_with_two_spaces(llama2: PreTrainedTokenizerFast) -> None:
    """What the test above guards against: one more token to be scored."""
    alone = llama2.convert_ids_to_tokens(llama2.encode(" Mara", add_special_tokens=False))
    assert alone == ["▁", "▁Mara"]
    builder = PromptBuilder(llama2, params())
    assert llama2.convert_ids_to_tokens(builder.target_ids("Mara")) == ["▁Mara", "</s>"]


def test_gpt2_opens_with_nothing_and_reads_a_target_as_it_stands_alone(tiny_gpt2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_gpt2)
    builder = PromptBuilder(tokenizer, params(target=190))
    assert builder.opening == []
    for caption in (*CORPUS, "", "...", "'s", "1.", "<|pad|>"):
        alone = tokenizer.encode(" " + caption, add_special_tokens=False)
        assert builder.target_ids(caption) == [*alone, tokenizer.eos_token_id]


def test_a_tokenizer_that_ends_a_text_too_opens_with_its_beginning_alone() -> None:
    class Bert(Letters):
        def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
            ids = super().encode(text, add_special_tokens=False)
            return [101, *ids, 102] if add_special_tokens else ids

    assert PromptBuilder(Bert(), params()).opening == [101]


def test_end_of_text_spelt_in_a_caption_is_text(make_config: MakeConfig) -> None:
    builder = load_prompts(make_config())
    ids = builder.target_ids("the <|endoftext|> lamp")
    assert ids.index(builder.eos_id) == len(ids) - 1
    assert builder.decode(ids) == "the <|endoftext|> lamp"
