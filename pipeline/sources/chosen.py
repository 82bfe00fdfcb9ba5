"""The source that the parameters choose."""

from pipeline.common.errors import UserError
from pipeline.params.dataset import (
    FolderParams,
    HubParams,
    JsonlParams,
    ParquetParams,
    SampleParams,
    SourceParams,
)
from pipeline.sources.folder import folder_stories
from pipeline.sources.hub import hub_stories
from pipeline.sources.jsonl import jsonl_stories
from pipeline.sources.parquet import parquet_stories
from pipeline.sources.sample import sample_stories
from pipeline.sources.source import Source


def open_source(chosen: SourceParams) -> Source:
    """Open the source that has these settings.

    Raises:
        UserError: as the source itself does, or they do not say where the stories are.
    """
    match chosen:
        case SampleParams():
            return sample_stories(chosen.stories, chosen.seed)
        case HubParams():
            return hub_stories(chosen.repo, chosen.revision, chosen.config)
        case ParquetParams(train=str(train)):
            return parquet_stories(train, chosen.test)
        case FolderParams(path=str(path)):
            return folder_stories(path)
        case JsonlParams(path=str(path)):
            return jsonl_stories(path)
    raise UserError("dataset: the source has no place where its stories are; give it one")
