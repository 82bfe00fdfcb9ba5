"""`dataset`: where stories come from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.params.group import Count, CountOrZero, Group, Name


class SampleParams(Group):
    """`dataset.sample`: the embedded sample."""

    stories: Annotated[int, Field(ge=10)] = 440
    """Stories in the embedded sample, train and test together (85 / 15). At least 10."""
    seed: CountOrZero = 2024
    """Seed of the sample's world; the same seed gives the same bytes."""


class HubParams(Group):
    """`dataset.hub`: a dataset in the layout of the Hugging Face Hub."""

    repo: Name = "daniel3303/StoryReasoning"
    """Dataset on the Hugging Face Hub (`owner/name`), or a local folder in the Hub's layout."""
    revision: Name = "main"
    """Branch, tag or commit of that dataset. A branch is read at the commit that it is at, which
    `data/raw/source.json` keeps; that commit here gives the same stories anywhere."""
    config: Name | None = None
    """Which configuration of that dataset; null for the only one that it has."""


class ParquetParams(Group):
    """`dataset.parquet`: one's own stories in the same schema."""

    train: Name | None = None
    """Folder, file or glob of parquet files with the training stories. Needed by `parquet`."""
    test: Name | None = None
    """The same for the test stories; null if there are none (then `split.test: carved`)."""


class FolderParams(Group):
    """`dataset.folder`: one's own stories as folders of pictures and captions."""

    path: Name | None = None
    """Folder with a folder for each story, or with `train` and perhaps `test` that hold such
    folders. Needed by `folder`."""


class JsonlParams(Group):
    """`dataset.jsonl`: one's own stories as JSON lines beside their pictures."""

    path: Name | None = None
    """File with a story in each line, or folder with `train.jsonl` and perhaps `test.jsonl`. Needed
    by `jsonl`."""


GIVE = {
    "parquet": "a folder, a file or a glob",
    "folder": "a folder with a folder for each story",
    "jsonl": "a file with a story in each line",
}
"""What a source of one's own needs."""

SourceParams = SampleParams | HubParams | ParquetParams | FolderParams | JsonlParams


class DatasetParams(Group):
    """`dataset`: where stories come from."""

    source: Literal["sample", "hub", "parquet", "folder", "jsonl"] = "sample"
    """Where stories come from: the embedded sample, the Hub, or files of one's own: parquet,
    folders of pictures, or JSON lines."""
    limit_stories: Count | None = None
    """Keep the first so many stories of each of the dataset's splits; null keeps all."""
    bad_frame: Literal["story", "cut"] = "story"
    """What a frame without a sound image and a caption costs: its whole story, or the frames from
    it on (cut), so that those before it stay."""
    max_megapixels: Annotated[float, Field(gt=0, le=178)] = 89.0
    """Millions of pixels above which an image is refused undecoded; a pixel takes 4 bytes. Above 0,
    up to 178, the limit of the library that decodes."""
    sample: SampleParams = SampleParams()
    hub: HubParams = HubParams()
    parquet: ParquetParams = ParquetParams()
    folder: FolderParams = FolderParams()
    jsonl: JsonlParams = JsonlParams()

    @property
    def chosen(self) -> SourceParams:
        """The settings of the source that is chosen."""
        groups: dict[str, SourceParams] = {
            "sample": self.sample,
            "hub": self.hub,
            "parquet": self.parquet,
            "folder": self.folder,
            "jsonl": self.jsonl,
        }
        return groups[self.source]

    @model_validator(mode="after")
    def _source_is_given(self) -> Self:
        place = {"parquet": "train", "folder": "path", "jsonl": "path"}.get(self.source)
        if place and getattr(self.chosen, place) is None:
            raise ValueError(
                f"dataset.source is {self.source}, but dataset.{self.source}.{place} is null: "
                f"give it {GIVE[self.source]}"
            )
        return self
