"""`storycache features`: the embeddings of all projects of this user, looked after."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pipeline.cli.table import aligned
from pipeline.common.errors import UserError
from pipeline.common.home import storycache_home
from pipeline.common.locks import claim_outputs
from pipeline.features.store import FeatureStore
from pipeline.upkeep.collect import Garbage, find_garbage, needed, remove, unused_since
from pipeline.upkeep.compact import compact
from pipeline.upkeep.export import export
from pipeline.upkeep.imports import import_vectors
from pipeline.upkeep.inventory import Encoder, find_encoders, keys_needed
from pipeline.upkeep.verify import set_aside, verify

HELP = """The encode cache in $STORYCACHE_HOME: what is in it, whether it is whole, what may go, and
vectors from it and into it. docs/features.md has the format."""
SEVERAL = ("--keep",)
FRAMES = Path("data/stories/frames.parquet")
MB = 1e6

Home = Annotated[Path | None, typer.Option(help="Instead of $STORYCACHE_HOME.", show_default=False)]
OneEncoder = Annotated[
    str | None,
    typer.Option(
        "--encoder", help="Only this one: its model, or the start of its fingerprint or folder."
    ),
]


def ls(
    home: Home = None,
    frames: Annotated[Path, typer.Option(help="The dataset to count rows of.")] = FRAMES,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what is there, and what of it this project needs."""
    found = [_described(encoder, frames) for encoder in find_encoders(home or storycache_home())]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    rows: list[Sequence[str]] = [
        ("encoder", "modality", "rows", "MB", "files", "last use", "this project", "folder")
    ]
    for each in found:
        used = each["last_use"][:16].replace("T", " ") if each["last_use"] else "unknown"
        has = "-" if each["needed"] is None else f"{each['had']}/{each['needed']}"
        size = f"{each['bytes'] / MB:.1f}"
        counts = (str(each["rows"]), size, str(each["files"]), used, has)
        rows.append((each["encoder"], each["modality"], *counts, Path(each["folder"]).name))
    print(aligned(rows, right=(2, 3, 4)))


def _described(encoder: Encoder, frames: Path) -> dict[str, Any]:
    cache = encoder.cache()
    files = cache.files()
    wanted = keys_needed(frames, encoder.modality) if frames.exists() else None
    return {
        "encoder": encoder.name,
        "modality": encoder.modality,
        "fingerprint": encoder.fingerprint,
        "settings": encoder.settings,
        "folder": str(encoder.folder),
        "rows": sum(files.values()),
        "bytes": encoder.bytes(),
        "files": len(files),
        "last_use": encoder.used and encoder.used.isoformat(timespec="seconds"),
        "needed": None if wanted is None else len(wanted),
        "had": None if wanted is None else int(cache.contains(wanted).sum()),
    }


def check(
    home: Home = None,
    encoder: OneEncoder = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Set damaged files aside, as *.damaged.")
    ] = False,
) -> None:
    """Compare all checksums, and set damaged files aside.

    The exit status is 1 if there are damaged files and they stay.
    """
    encoders = find_encoders(home or storycache_home(), encoder)
    damaged = 0
    for path, why in verify(encoders):
        damaged += 1
        print(f"{path}: {why}" + (f"; now {set_aside(path).name}" if repair else ""))
    print(f"{damaged} damaged files" if damaged else "all files are whole")
    if damaged and not repair:
        raise UserError(
            "damaged files are not used; --repair sets them aside, and the next run of the embed "
            "stages encodes what they held"
        )


def gc(
    home: Home = None,
    keep: Annotated[
        list[Path],
        typer.Option(help="A project or frames.parquet whose rows stay; may be repeated."),
    ] = [],  # noqa: B006
    encoder: OneEncoder = None,
    older_than: Annotated[
        float | None, typer.Option(metavar="DAYS", help="What was last used before.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete what is not needed.

    Without options: what this project's frames do not need. With --keep: what none of those
    datasets needs. With --older-than or --encoder and no --keep: all of what these name.

    Files go whole: one with a single needed row stays, and so does one that is younger than an
    hour, as a run that goes on may have written it. Captions that a model has written are in no
    frames table; the next evaluation encodes them again.
    """
    encoders = find_encoders(home or storycache_home(), encoder)
    chosen = encoder is not None or older_than is not None
    if older_than is not None:
        encoders = unused_since(encoders, older_than)
    kept = None if chosen and not keep else needed([_frames(path) for path in keep or [Path()]])
    if not dry_run:
        claim_outputs(*(each.folder for each in encoders))  # no compact moves rows meanwhile
    garbage = [find_garbage(each, kept) for each in encoders]
    garbage = [each for each in garbage if each.files]
    total = sum(sum(each.files.values()) for each in garbage)
    for each in garbage:
        print(_freed(each))
    print(f"{total / MB:.1f} MB {'would be' if dry_run or not yes else 'are'} freed")
    if not garbage or dry_run or not (yes or typer.confirm("Delete them?")):
        return
    for each in garbage:
        remove(each)


def _freed(garbage: Garbage) -> str:
    size = sum(garbage.files.values()) / MB
    return f"{garbage.encoder}: {garbage.rows} rows, {len(garbage.files)} files, {size:.1f} MB"


def _frames(path: Path) -> Path:
    """The frames table of a project, or the table itself."""
    return path / FRAMES if path.is_dir() else path


def compact_all(home: Home = None, encoder: OneEncoder = None) -> None:
    """Make few files of many small ones.

    A kill at any moment loses nothing, and runs that use the cache meanwhile go on.
    """
    for each in find_encoders(home or storycache_home(), encoder):
        before = len(each.files())
        for count, path in compact(each):
            print(f"{each}: {count} files are now {path.name}")
        print(f"{each}: {before} files before, {len(each.files())} now")


def export_vectors(
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="New or empty.")],
    to: Annotated[Literal["npy", "parquet", "hf", "faiss"], typer.Option(help="Its format.")],
    source: Annotated[
        Path, typer.Option("--from", help="A published store, or a folder of the cache.")
    ] = Path("data/features/image"),
    frames: Annotated[
        bool, typer.Option(help="Whether to say which row each frame of the project is.")
    ] = True,
) -> None:
    """Write vectors in formats of other tools.

    Beside them lies the key of each row, and of a project's own store the row of each frame.

    npy, hf and faiss are float32, parquet is float16 as stored; all are of unit norm, so that an
    inner product is a cosine.
    """
    table = source.resolve().parents[1] / FRAMES.relative_to("data")
    store = FeatureStore.open(source)
    rows = export(store, to, out, table if frames and table.exists() else None)
    print(f"{rows} x {store.dim} of {source} in {out}")


def import_file(
    vectors: Annotated[Path, typer.Argument(metavar="VECTORS.npy")],
    keys: Annotated[Path, typer.Argument(metavar="KEYS.parquet")],
    like: Annotated[
        Path | None, typer.Option(help="A store by the encoder that made the vectors.")
    ] = None,
    fingerprint: Annotated[str | None, typer.Option(help="Of that encoder, 64 letters.")] = None,
    modality: Annotated[Literal["image", "text"] | None, typer.Option()] = None,
    home: Home = None,
) -> None:
    """Add vectors that were computed elsewhere.

    KEYS.parquet has a column `key`, the SHA-256 of each row's content: of an image's encoded bytes,
    or of a caption's UTF-8 text. Whose vectors they are is taken on trust: name the encoder by a
    store that it wrote (--like), or by --fingerprint and --modality.
    """
    if like is not None and (fingerprint or modality):
        raise UserError("give --like, or --fingerprint and --modality")
    if like is not None:
        attributes = FeatureStore.open(like).attributes
    elif modality and re.fullmatch("[0-9a-f]{64}", fingerprint or ""):
        attributes = {"fingerprint": fingerprint, "modality": modality}
    else:
        raise UserError("give --like, or --modality and a --fingerprint of 64 letters of hex")
    rows, new = import_vectors(vectors, keys, attributes, home or storycache_home())
    print(f"{rows} rows, {new} of them new to the cache")


COMMANDS = {
    "ls": ls,
    "verify": check,
    "gc": gc,
    "compact": compact_all,
    "export": export_vectors,
    "import": import_file,
}
