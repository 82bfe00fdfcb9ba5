"""Storycache: the next caption of a visual story, from features that are computed once.

The one name for use from Python: `from pipeline import Storyteller`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.predict.storyteller import Storyteller as Storyteller

__all__ = ["Storyteller"]


def __getattr__(name: str) -> Any:
    # When it is asked for: whoever imports a module of the pipeline need not wait for all of it.
    if name == "Storyteller":
        from pipeline.predict.storyteller import Storyteller

        return Storyteller
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
