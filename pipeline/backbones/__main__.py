"""`python -m pipeline.backbones NAME …`: trains the sample's frozen backbones anew."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.common.errors import exit_cleanly

NAMES = ("clip", "gpt2", "judge")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the sample's backbones.")
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help="default: all three")
    parser.add_argument("--out", type=Path, default=Path("data/sample"))
    args = parser.parse_args()
    for name in args.names or NAMES:
        if name == "gpt2":
            from pipeline.backbones.gpt2 import train_gpt2

            train_gpt2(args.out / name)
        else:
            from pipeline.backbones.clip import train_clip

            train_clip(name, args.out / name)


if __name__ == "__main__":
    exit_cleanly(main)
