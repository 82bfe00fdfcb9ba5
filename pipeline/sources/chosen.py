"""The source that the parameters choose."""

from typing import Literal

from pipeline.common.errors import UserError
from pipeline.params.dataset import HubParams, ParquetParams, SampleParams
from pipeline.sources.hub import hub_stories
from pipeline.sources.parquet import parquet_stories
from pipeline.sources.sample import sample_stories
from pipeline.sources.source import Source


def open_source(
    source: Literal["sample", "hub", "parquet"],
    sample: SampleParams,
    hub: HubParams,
    parquet: ParquetParams,
) -> Source:
    """Open the source of this name by the group of parameters that is its own.

    Raises:
        UserError: as the source itself does, or none is named for parquet.
    """
    if source == "hub":
        return hub_stories(hub.repo, hub.revision, hub.config)
    if source == "parquet":
        if parquet.train is None:
            raise UserError("dataset.parquet.train is null; give it a folder, a file or a glob")
        return parquet_stories(parquet.train, parquet.test)
    return sample_stories(sample.stories, sample.seed)
