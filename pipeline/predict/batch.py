"""Captions for many stories: a JSONL file in, a JSONL file out, line by line.

What is finished is kept in a file beside the output, from which a killed run goes on; the output
appears when every story has its caption.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel, ValidationError

from pipeline.captioning.generate import story_seed
from pipeline.common.errors import UserError
from pipeline.common.files import reading, replacing, writing
from pipeline.common.locks import claim_outputs
from pipeline.common.progress import progress_bar
from pipeline.dataset.story_dataset import Contexts
from pipeline.params.errors import first_problem
from pipeline.predict.storyteller import Storyteller

Line = dict[str, Any]


class Frame(BaseModel):
    """A frame of a story."""

    image: str | None = None
    """Path of the picture; a relative one is looked for beside the file of stories."""
    caption: str | None = None


class Story(BaseModel):
    """A line of the input."""

    story_id: str | int | None = None
    frames: list[Frame]


def predict_batch(
    teller: Storyteller, stories: Path, out: Path, samples: int = 1, seed: int = 0
) -> tuple[int, int]:
    """Write a line for each story that can be read, in their order.

    A line has `line` (from 1), `story_id` where it has one, `caption`, and with more than one
    sample `alternatives`, best first. A story that cannot be read is named on stderr and left out.

    Args:
        stories: a line a story, `{"story_id": …, "frames": [{"image": path, "caption": …}, …]}`.
        samples: captions for each. seed: of their draws.

    Returns:
        Stories that have a caption, and stories that were left out.

    Raises:
        UserError: the file cannot be read, or the output cannot be written.
    """
    claim_outputs(out)
    with reading(stories, "give a file of stories, one JSON object a line"):
        with stories.open("rb") as file:
            key = hashlib.file_digest(file, "sha256").hexdigest()
        with stories.open("rb") as file:
            total = sum(1 for _ in file)
    settings = {"model": _identity(teller), "stories": key, "samples": samples, "seed": seed}
    partial = out.with_name(f".{out.name}.unfinished")
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("a+b") as kept, stories.open("rb") as lines:
            done, written, left_out = _take_up(kept, settings)
            size = max(1, teller.generate.batch_size // samples)
            with progress_bar(total=total, initial=done, desc="captions", unit="story") as bar:
                rest = islice(enumerate(lines, start=1), done, None)
                while group := list(islice(rest, size)):
                    for result in _captions(teller, stories.parent, group, samples, seed):
                        failed = "error" in result
                        written, left_out = written + (not failed), left_out + failed
                        if failed:
                            line = f"line {result['line']} is left out: {result['error']}"
                            bar.write(line, file=sys.stderr)
                        kept.write(json.dumps(result, ensure_ascii=False).encode() + b"\n")
                    kept.flush()
                    bar.update(len(group))
            os.fsync(kept.fileno())
        _finish(partial, out)
    return written, left_out


def _identity(teller: Storyteller) -> str:
    """Digest of a model and of how it writes."""
    generate = teller.generate.model_dump_json(exclude={"batch_size"})
    return hashlib.sha256(f"{teller.generator.fingerprint()}{generate}".encode()).hexdigest()


def _take_up(kept: BinaryIO, settings: dict[str, Any]) -> tuple[int, int, int]:
    """Lines of the input that are done, with a caption and without; a cut-off line is undone.

    What is kept of another model, input or setting is emptied.
    """
    kept.seek(0)
    end, done, failed, header = 0, 0, 0, None
    for line in kept:
        try:
            found = json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n"):
            break
        if header is None:
            header = found
            if header != settings:
                break
        else:
            done, failed = found["line"], failed + ("error" in found)
        end += len(line)
    if header != settings:
        end = done = failed = 0
    kept.truncate(end)
    if not end:
        kept.write(json.dumps(settings).encode() + b"\n")
        kept.flush()
    return done, done - failed, failed


def _captions(
    teller: Storyteller, folder: Path, group: list[tuple[int, bytes]], samples: int, seed: int
) -> Iterator[Line]:
    """A result for each line of the input, with `error` in place of a caption where it is amiss."""
    read = [(number, *_read(teller, folder, line)) for number, line in group]
    # As the evaluation draws for a story; one without an id draws by its line.
    seeds = {n: story_seed(seed, str(n if story is None else story)) for n, story, _ in read}
    if samples == 1:
        whole = [(n, context) for n, _, context in read if isinstance(context, Contexts)]
        told = teller.tell_many([context for _, context in whole], [seeds[n] for n, _ in whole])
        captions = iter(told)
    for number, story_id, context in read:
        line = {"line": number} | ({} if story_id is None else {"story_id": story_id})
        if isinstance(context, str):
            yield line | {"error": context}
        elif samples == 1:
            yield line | {"caption": next(captions)}
        else:
            several = teller.choose(context, samples, seeds[number])
            listed = [asdict(alternative) for alternative in several]
            yield line | {"caption": several[0].caption, "alternatives": listed}


def _read(teller: Storyteller, folder: Path, line: bytes) -> tuple[Any, Contexts | str]:
    """Id and context of a story, or what is wrong with it."""
    story_id = None
    try:
        story = Story.model_validate_json(line)
        story_id = story.story_id
        images = [frame.image and folder / frame.image for frame in story.frames]
        return story_id, teller.read(images, [frame.caption for frame in story.frames])
    except ValidationError as error:
        return story_id, first_problem(error, whole="it is no story")
    except UserError as error:
        return story_id, str(error)


def _finish(partial: Path, out: Path) -> None:
    """Put the captions in place, without what is kept for a run that goes on."""
    with partial.open("rb") as kept, replacing(out) as whole, whole.open("wb") as file:
        next(kept)
        file.writelines(line for line in kept if "error" not in json.loads(line))
    partial.unlink()
