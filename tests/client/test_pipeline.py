"""How many videos are matted at a time, where nobody says it."""

from unittest import mock

import pytest
from tests.support.gpu_server import GpuServer

from rvm_client.config import Settings
from rvm_client.matte import MattingModel
from rvm_client.pipeline import matte as pipeline_matte


@pytest.mark.parametrize(
    ("setting", "on_gpu", "cores", "expected"),
    [(0, True, 8, 2), (0, True, 7, 1), (0, False, 64, 1), (3, True, 8, 3), (2, False, 1, 2)],
)
def test_jobs_at_once(setting: int, on_gpu: bool, cores: int, expected: int) -> None:
    with (
        GpuServer() as server,
        MattingModel(server.url) as model,
        mock.patch.object(pipeline_matte, "available_cores", return_value=cores),
        mock.patch.object(MattingModel, "runs_on_gpu", on_gpu),
    ):
        assert pipeline_matte.jobs_at_once(Settings(jobs_at_once=setting), model) == expected
