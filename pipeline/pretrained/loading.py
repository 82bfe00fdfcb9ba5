"""Loading a pretrained model so that nothing in it is made up, left out or run.

Transformers fills weights that a checkpoint lacks with random numbers, and says so in a table on
stderr; here that is an error.
"""

import contextlib
import pickle
import re
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig
from transformers.utils import ADAPTER_CONFIG_NAME, logging

from pipeline.common.errors import reason
from pipeline.pretrained.folder import PretrainedFolder

WRONG_KIND = "the folder may be incomplete, or made for another version or another kind of model"


def load_config(folder: PretrainedFolder) -> Any:
    """The config of the model, defaults filled in by Transformers.

    Raises:
        UserError: if Transformers knows no such model, or only by code in the folder.
    """
    with sentences(folder, "its config.json", WRONG_KIND):
        return AutoConfig.from_pretrained(folder.path, trust_remote_code=False)


def load_pretrained(
    model_class: Any, folder: PretrainedFolder, dtype: torch.dtype, config: Any = None
) -> Any:
    """A pretrained model in eval mode, in `dtype`, whatever precision its files are in.

    Args:
        model_class: a model class of Transformers, or one of its Auto classes.
        config: what `load_config` gave, changed or not.

    Raises:
        UserError: if it cannot be loaded, a weight of it is missing or has another shape than the
            config says, the files hold much that the model has no place for, a weight is not
            finite, or an adapter lies beside them.
    """
    config = load_config(folder) if config is None else config
    if getattr(config, "transformers_weights", None):
        raise folder.error(
            "its config.json names a file of weights (transformers_weights); save the model anew "
            "with save_pretrained"
        )
    if (folder.path / ADAPTER_CONFIG_NAME).is_file():  # where peft is installed, it is loaded too
        raise folder.error(
            f"beside its weights lies an adapter ({ADAPTER_CONFIG_NAME}), which is not read here; "
            "merge the two and save the model anew, or delete that file to leave the adapter out"
        )
    with sentences(folder, "the model", WRONG_KIND):
        model, found = model_class.from_pretrained(
            folder.path,
            config=config,
            dtype=dtype,
            use_safetensors=folder.weights[0].suffix == ".safetensors",
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
        )
    _check_complete(folder, model, found)
    _check_finite(folder, model)
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Transformers' progress bars and tables are left out; what matters in them is checked."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextlib.contextmanager
def sentences(folder: PretrainedFolder, part: str, advice: str) -> Iterator[None]:
    """Whatever Transformers raises over a part of a folder, as one sentence with some advice."""
    try:
        with _quiet():
            yield
    except Exception as error:  # each architecture raises what it pleases
        if "trust_remote_code" in str(error):
            raise folder.error(
                f"{part} is defined by code in its own folder, which is never run here; choose a "
                "model that Transformers knows by itself"
            ) from error
        if isinstance(error, pickle.UnpicklingError):
            raise folder.error(
                f"{folder.weights[0].name} holds more than tensors, and nothing else is ever read "
                "from it; save the model as safetensors"
            ) from error
        if isinstance(error, ImportError):
            advice = "install the package that it needs, or choose another model"
        said = reason(error, named=True)
        raise folder.error(f"{part} cannot be loaded ({said}); {advice}") from error


def _check_complete(folder: PretrainedFolder, model: Any, found: dict[str, Any]) -> None:
    """Refuse a model of which anything was made up; `found` is Transformers' loading info."""
    if missing := found["missing_keys"]:
        raise folder.error(
            f"its weights lack {_named(missing)}; choose a complete {type(model).__name__}"
        )
    if mismatched := sorted(found["mismatched_keys"]):
        name, stored, wanted = mismatched[0]
        raise folder.error(
            f"{name} is {list(stored)} in its weights, but {list(wanted)} by its config.json "
            f"({len(mismatched)} such weights); the two are not of one model"
        )
    unexpected = set(found["unexpected_keys"])
    known = model.state_dict()
    patterns = {_without_numbers(name) for name in known}
    further = {name for name in unexpected if _without_numbers(name) in patterns}
    if further or len(unexpected) > len(known):
        raise folder.error(
            f"its weights hold {_named(further or unexpected)}, for which its config.json has no "
            "place; the two are not of one model"
        )


@torch.no_grad()
def _check_finite(folder: PretrainedFolder, model: Any) -> None:
    """Refuse weights that are NaN or infinite: all that is computed with them would be."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that meet after every weight wait longer than they work
    try:
        bad = [name for name, weight in model.named_parameters() if not _is_finite(weight)]
        # Not for infinity, which masks may hold.
        bad += [name for name, buffer in model.named_buffers() if buffer.isnan().any()]
    finally:
        torch.set_num_threads(threads)
    if bad:
        raise folder.error(
            f"NaN or infinity in {_named(bad)} of its weights; fetch them again, or choose another "
            "model"
        )


def _is_finite(weight: Tensor) -> bool:
    # A sum is read at the speed of memory and finite only if all of its terms are.
    return bool(weight.sum().isfinite()) or bool(weight.isfinite().all())


def _named(names: Iterable[str]) -> str:
    """The first three of some names, and how many there are more."""
    ordered = sorted(names)
    more = f" and {len(ordered) - 3} more" if len(ordered) > 3 else ""
    return ", ".join(ordered[:3]) + more


def _without_numbers(name: str) -> str:
    return re.sub(r"\d+", "*", name)
