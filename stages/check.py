"""Stage `check`: params.yaml as a whole, as soon as any value or key in it is another.

Every stage checks the whole file, but an edit that no other stage depends on, such as a key that
nobody knows, would run none.
"""

from pipeline.common.errors import exit_cleanly
from pipeline.params import load_params


def main() -> None:
    load_params()


if __name__ == "__main__":
    exit_cleanly(main)
