"""A DVC remote on S3: what one machine has made, another takes up. Moto's server stands for S3."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Line

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dvc")]

pytest.importorskip("dvc_s3", reason="dvc-s3 is one of requirements-extras.txt")
BUCKET = "stories"


@dataclass(frozen=True)
class Visitor(Line):
    """A line whose user has an account at the S3 of the test."""

    @property
    def environment(self) -> dict[str, str]:
        account = {"AWS_ACCESS_KEY_ID": "a-user", "AWS_SECRET_ACCESS_KEY": "a-secret"}
        return super().environment | account | {"AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def s3() -> Iterator[str]:
    """The address of an S3 on this machine with an empty bucket."""
    server = pytest.importorskip("moto.server", reason="moto is one of requirements-extras.txt")
    import boto3

    started = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    started.start()
    address = "http://{}:{}".format(*started.get_host_and_port())
    boto3.client(
        "s3",
        endpoint_url=address,
        aws_access_key_id="a-user",
        aws_secret_access_key="a-secret",
        region_name="us-east-1",
    ).create_bucket(Bucket=BUCKET)
    yield address
    started.stop()


@pytest.mark.thorough
def test_pushed_here_and_pulled_there_it_runs_nothing(line: Line, s3: str, tmp_path: Path) -> None:
    here = Visitor(line.root, line.home)
    here.dvc("remote", "add", "--default", "shared", f"s3://{BUCKET}/cache")
    here.dvc("remote", "modify", "shared", "endpointurl", s3)
    here.commit()
    here.dvc("push")

    there = Visitor(tmp_path / "clone", tmp_path / "home")
    there.home.mkdir()
    here.run("git", "clone", "--quiet", str(here.root), str(there.root))
    there.dvc("pull")
    outputs = ("data/stories", "data/features", "data/models", "data/eval", "data/report")
    assert there.contents(*outputs) == here.contents(*outputs)
    assert there.stages_run(there.dvc("repro")) == []
    for key, value in (("user.name", "a test"), ("user.email", "test@localhost")):
        there.run("git", "config", key, value)
    assert there.stages_run(there.dvc("exp", "run", "-S", "loss.alpha=0.2", "train")) == ["train"]
    assert not (there.home / "storycache" / "embeddings").exists(), "nothing was encoded"
