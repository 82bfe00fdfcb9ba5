"""The parameters file: what it takes, and the one sentence that says why it does not."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.common.errors import UserError
from pipeline.params import LossParams, Params, check_params, load_params
from pipeline.params.errors import walk_fields

SHIPPED = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def edited(tmp_path: Path):
    """Give a function that replaces text of the shipped file and returns the new file's path."""

    def edit(old: str, new: str) -> Path:
        text = SHIPPED.read_text()
        assert text.count(old) >= 1, old
        path = tmp_path / "params.yaml"
        path.write_text(text.replace(old, new, 1))
        return path

    return edit


def test_the_shipped_file_is_valid():
    params = load_params(SHIPPED)
    assert params.context.k == 4
    assert params.train.lr == 0.001
    assert params.loss.lambda_ == 0.5


def test_every_key_has_a_docstring():
    docstrings = {  # of a group, its class's own
        ".".join(path): field.description or vars(field.annotation).get("__doc__")
        for path, field in walk_fields(Params)
    }
    assert [key for key, docstring in docstrings.items() if not docstring] == []


def test_params_do_not_change():
    params = load_params(SHIPPED)
    with pytest.raises(ValidationError, match="frozen"):
        params.seed = 1


def test_round_trip_through_plain_values():
    params = load_params(SHIPPED)
    plain = params.model_dump()
    assert set(plain["loss"]) == {"alpha", "lambda", "image", "align"}
    assert check_params(plain, "copy") == params


def test_a_group_can_be_made_in_code():
    assert LossParams(alpha=1.0, lambda_=2.0).lambda_ == 2.0


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "alpha: 0.5",
            "alhpa: 0.5",
            "loss.alhpa (value 0.5) is not a known key; did you mean loss.alpha?",
        ),
        (
            "loss:",
            "lose:",
            "lose (value {'alpha': 0.5, 'lambda': 0.5, 'image': 'contrastive', 'al...) is not a "
            "known key; did you mean loss?",
        ),
        (
            "seed: 0",
            "seed: 0\nalpha: 1",
            "alpha (value 1) is not a known key; the nearest known key is loss.alpha",
        ),
        (
            "lambda: 0.5",
            "lambda_: 0.5",
            "loss.lambda_ (value 0.5) is not a known key; did you mean loss.lambda?",
        ),
        ("k: 4 ", "k: '4' ", 'context.k is "4", but must be a whole number, 1 or more'),
        ("k: 4 ", "k: 4.5 ", "context.k is 4.5, but must be a whole number, 1 or more"),
        ("k: 4 ", "k: 0 ", "context.k is 0, but must be a whole number, 1 or more"),
        ("k: 4 ", "k: true ", "context.k is true, but must be a whole number, 1 or more"),
        ("k: 4 ", "4: 4 ", "context.4 is not a known key: keys are text"),
        ("lr: 1.0e-3", "lr: .nan", "train.lr is nan, but must be a number, above 0"),
        ("lr: 1.0e-3", "lr: fast", 'train.lr is "fast", but must be a number, above 0'),
        (
            "frame_prefix: true",
            "frame_prefix: yes",
            'decoder.frame_prefix is "yes", but must be true or false',
        ),
        (
            "source: sample",
            "source: samples",
            'dataset.source is "samples", but must be one of sample, hub, parquet, folder, jsonl',
        ),
        (
            "limit_stories: null",
            "limit_stories: 0",
            "dataset.limit_stories is 0, but must be a whole number, 1 or more, or null",
        ),
        ("model: data/sample/clip", "model: ''", 'clip.model is "", but must be text, not empty'),
        (
            "top_p: 0.9",
            "top_p: 1.5",
            "generate.top_p is 1.5, but must be a number, above 0 and at most 1",
        ),
        (
            "temperature: 1.0",
            "temperature: 1.0e-39",
            "generate.temperature is 1e-39, but must be a number, 0.001 or more",
        ),
        ("epochs: 2", "# none", "train.epochs is missing; it must be a whole number, 1 or more"),
        ("lambda: 0.5", "lambda: -1", "loss.lambda is -1, but must be a number, 0 or more"),
    ],
)
def test_a_wrong_key_or_value_is_one_sentence(edited, old, new, sentence):
    path = edited(old, new)
    with pytest.raises(UserError) as raised:
        load_params(path)
    assert str(raised.value) == f"{path}: {sentence}"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("d_model: 256", "d_model: 250", ["fusion.d_model is 250", "fusion.heads", "4"]),
        ("source: sample", "source: parquet", ["dataset.parquet.train is null"]),
        ("source: sample", "source: folder", ["dataset.folder.path is null", "give it a folder"]),
        ("source: sample", "source: jsonl", ["dataset.jsonl.path is null", "give it a file"]),
        ("k: 4 ", "k: 22 ", ["context.k is 22", "below 22"]),
        (
            "max_target_tokens: 128",
            "max_target_tokens: 512",
            ["prompt.max_target_tokens is 512", "prompt.max_sequence_tokens"],
        ),
    ],
)
def test_an_impossible_combination_is_one_sentence(edited, old, new, said):
    path = edited(old, new)
    with pytest.raises(UserError) as raised:
        load_params(path)
    message = str(raised.value)
    assert "\n" not in message
    assert all(part in message for part in said), message


@pytest.mark.parametrize("signal", ["text", "both", "embedding", "none"])
def test_captions_are_compared_with_others_of_their_story(signal: str) -> None:
    plain = load_params(SHIPPED).model_dump()
    plain["gan"] |= {"signal": signal}
    plain["gan"]["cache"]["samples_per_story"] = 1
    check_params(plain, "params.yaml")  # the variant none samples nothing
    plain["gan"]["variant"] = "cached"
    if signal in ("embedding", "none"):
        assert check_params(plain, "params.yaml").gan.cache.samples_per_story == 1
        return
    with pytest.raises(UserError, match=rf"samples_per_story is 1, but gan\.signal {signal}"):
        check_params(plain, "params.yaml")


def test_no_test_stories_needs_a_carved_split():
    plain = load_params(SHIPPED).model_dump()
    plain["dataset"] |= {"source": "parquet", "parquet": {"train": "mine/*.parquet", "test": None}}
    with pytest.raises(UserError, match=r"split\.test is official.*carved"):
        check_params(plain, "params.yaml")
    plain["split"]["test"] = "carved"
    assert check_params(plain, "params.yaml").split.test == "carved"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reward": "clip"}, r"gan\.reward is clip.*gan\.text_stories is 1: take 2 or more"),
        ({"text_stories": 121}, r"gan\.text_stories is 121.*gan\.cache\.subset_stories 120"),
        ({"variant": "naive", "text_loss": "preference"}, r"gan\.variant naive keeps no captions"),
    ],
)
def test_rewards_that_cannot_be_given(changes, said):
    plain = load_params(SHIPPED).model_dump()
    plain["gan"] |= {"variant": "cached"} | changes
    with pytest.raises(UserError, match=said) as raised:
        check_params(plain, "params.yaml")
    assert "\n" not in str(raised.value)
    plain["gan"]["variant"] = "none"
    assert check_params(plain, "params.yaml").gan.variant == "none"


@pytest.mark.parametrize(
    "gan", [{"variant": "none"}, {"reward": "clip", "signal": "text", "text_stories": 4}]
)
def test_what_is_not_trained_cannot_choose(gan):
    plain = load_params(SHIPPED).model_dump()
    plain["generate"]["choose"] = "discriminator"
    plain["gan"]["variant"] = "cached"
    assert check_params(plain, "params.yaml").generate.choose == "discriminator"
    plain["gan"] |= gan
    with pytest.raises(UserError, match="no discriminator is trained"):
        check_params(plain, "params.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("loss: {alpha: 0.5", "line 1: not valid YAML"),
        ("seed: 0\nseed: 1\n", "line 2: not valid YAML"),
        ("a: b: c", "not valid YAML"),
        ("a: \x00", "not valid YAML"),
        ("", "must hold groups of keys"),
        ("- 1", "must hold groups of keys"),
    ],
)
def test_a_broken_file_is_one_sentence(tmp_path, text, said):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as raised:
        load_params(path)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(UserError, match="run from the root of the repository"):
        load_params(tmp_path / "params.yaml")


def test_numbers_are_read_as_dvc_reads_them(edited):
    assert load_params(edited("lr: 1.0e-3", "lr: 2e-3")).train.lr == 0.002
    assert load_params(edited("alpha: 0.5", "alpha: 1")).loss.alpha == 1.0


def test_a_key_or_a_value_that_cannot_be_printed_stays_on_one_line():
    plain = load_params(SHIPPED).model_dump()
    for dataset in ({"\n": None}, plain["dataset"] | {"source": "hub\n"}):
        with pytest.raises(UserError, match=r"\\n") as caught:
            check_params(plain | {"dataset": dataset}, "params.yaml")
        assert "\n" not in str(caught.value)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=4,
)


@given(path=st.sampled_from([path for path, _ in walk_fields(Params)]), value=PLAIN)
def test_any_value_at_any_key_is_taken_or_explained(path, value):
    plain = load_params(SHIPPED).model_dump()
    group = plain
    for key in path[:-1]:
        group = group[key]
    group[path[-1]] = value
    try:
        check_params(plain, "params.yaml")
    except UserError as error:
        assert "\n" not in str(error)
        assert ".".join(path) in str(error)


def test_a_stage_that_asks_for_some_groups_can_read_no_others() -> None:
    params = Params().only("seed", "split")
    assert params.model_dump(mode="json") == {
        "seed": 0,
        "split": {"test": "official", "val_fraction": 0.1},
    }
    with pytest.raises(AttributeError):
        _ = params.train
