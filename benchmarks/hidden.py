"""`python -m benchmarks.hidden`: what a model tells of stories of which less than all is known.

The test stories of a finished run, as its final model tells them from whole contexts, from pictures
alone, from captions alone and from the last two frames; scored between the same rows. What a model
is worth there that was trained with `fusion.hide_share`, and what it costs on whole contexts.

It runs in the folder of a finished run on the sample, and takes a minute.
"""

import argparse
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from benchmarks.ceiling import FEATURES, LIFTS, SPLIT, score_tellings, tested_stories
from pipeline.captioning.generate import story_seed
from pipeline.common.errors import exit_cleanly
from pipeline.common.files import write_json
from pipeline.compute.device import make_deterministic
from pipeline.dataset.story_dataset import Contexts
from pipeline.evaluation.bootstrap import intervals
from pipeline.evaluation.figures import Measure, lift_of
from pipeline.evaluation.references import GROUND_TRUTH, SHUFFLED
from pipeline.evaluation.stories import SplitStories
from pipeline.features.store import FeatureStore
from pipeline.params import load_params
from pipeline.predict.storyteller import Storyteller

MODEL = Path("data/models/final")


def measure_hidden(model: Path) -> dict[str, dict[str, Measure]]:
    """Lift and judge's lift of what the model in the folder `model` tells, by what it was shown.

    Raises:
        UserError: if the run is not a finished one on the sample.
    """
    params = load_params()
    make_deterministic(params.seed)
    images, texts = (FeatureStore.open(FEATURES / name) for name in ("image", "text"))
    stories = tested_stories(params, images, texts)
    teller = Storyteller.from_pretrained(model)
    seeds = [story_seed(params.seed, name) for name in stories.windows.story]
    told = {
        shown: [teller.tell_many([contexts], seeds)]
        for shown, contexts in _shown(stories.windows.contexts()).items()
    }
    columns = score_tellings(params, stories, told | _rows(stories))
    floor, true = columns[SHUFFLED][0], columns[GROUND_TRUTH][0]
    figures = {
        (shown, name): lift_of(columns[shown][0][of], floor[of], true[of])
        for shown in told
        for name, of in LIFTS.items()
        if of in floor
    }
    measured = intervals(figures, len(stories), params.seed)
    return {
        shown: {name: measure for (of, name), measure in measured.items() if of == shown}
        for shown in told
    }


def _shown(whole: Contexts) -> Mapping[str, Contexts]:
    """Contexts with less and less in them."""
    begun = np.arange(whole.images.shape[1]) >= whole.images.shape[1] - 2
    nothing = [[""] * len(captions) for captions in whole.captions]
    return {
        "everything": whole,
        "pictures alone": replace(whole, texts=0 * whole.texts, captions=nothing),
        "captions alone": replace(whole, images=0 * whole.images),
        "the last two frames": replace(
            whole,
            images=whole.images * begun[:, None],
            texts=whole.texts * begun[:, None],
            captions=[
                [text if there else "" for text, there in zip(captions, begun, strict=True)]
                for captions in whole.captions
            ],
        ),
    }


def _rows(stories: SplitStories) -> dict[str, list[list[str]]]:
    assert stories.other is not None  # there are two stories or more
    captions = stories.windows.captions
    return {
        GROUND_TRUTH: [captions(stories.windows.target)],
        SHUFFLED: [captions(stories.other.target)],
    }


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", type=Path, default=MODEL, help="%(default)s by default")
    parser.add_argument("--out", type=Path, help="JSON to write")
    arguments = parser.parse_args()
    measured = measure_hidden(arguments.model)
    names = list(next(iter(measured.values())))
    print(f"| {SPLIT} stories told from | {' | '.join(names)} |")
    print("|---" * (len(names) + 1) + "|")
    for shown, measures in measured.items():
        print(f"| {shown} | {' | '.join(str(measures[name]) for name in names)} |")
    if arguments.out is not None:
        found = {shown: {n: asdict(m) for n, m in of.items()} for shown, of in measured.items()}
        write_json(arguments.out, found)


if __name__ == "__main__":
    exit_cleanly(main)
