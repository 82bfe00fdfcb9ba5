"""Stage `check`: params.yaml as a whole, as soon as any value or key in it is another."""

from pipeline.common.stage import run_stage
from pipeline.params import load_params


def check() -> None:
    """See that params.yaml holds known keys and allowed values.

    Every stage does so, but an edit that none depends on, such as a key that nobody knows, would
    run none.
    """
    load_params()


if __name__ == "__main__":
    run_stage(check)
