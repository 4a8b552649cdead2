"""Random jobs: each is taken, or refused in one line."""

import traceback

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from rvm_client.errors import UsageError
from rvm_client.job import Job, parse_job

_SECRET = "signature=SECRET"
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=40)
    | st.sampled_from([f"http://example.com/a?{_SECRET}", "#00ff00", "auto", "fast", "alpha"])
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)
_FIELDS = st.sampled_from(sorted(Job.model_fields)) | st.text(max_size=20)
_JOBS = st.dictionaries(_FIELDS, _VALUES, max_size=6) | _VALUES
_WITH_A_URL = st.builds(
    lambda job: {"video_url": "https://example.com/v"} | job,
    _JOBS.filter(lambda job: isinstance(job, dict)),
)


def try_jobs(count: int, seed_number: int) -> list[str]:
    """What was neither taken nor clearly refused."""
    failures: list[str] = []

    @seed(seed_number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(_JOBS | _WITH_A_URL)
    def try_job(job: object) -> None:
        try:
            parse_job(job)
        except UsageError as exc:
            if not str(exc).isprintable() or _SECRET in str(exc):
                failures.append(f"{job!r}: {exc}")
        except Exception:
            failures.append(f"{job!r}: {traceback.format_exc()}")

    if count:
        try_job()
    return failures
