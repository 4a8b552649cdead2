"""Python in a process of its own that may not take much memory or time: for hostile files."""

import resource
import subprocess
import sys
from dataclasses import dataclass

_PEAK = """
import sys as _sys
with open("/proc/self/status") as _status:
    for _line in _status:
        if _line.startswith("VmHWM:"):
            print(_line.split()[1], file=_sys.stderr)
"""


@dataclass(frozen=True)
class Limited:
    """What the program did."""

    output: str
    peak_bytes: int
    """The memory it took at most."""


def run_limited(
    program: str, *arguments: object, cpu_s: int = 60, address_space_bytes: int = 8 << 30
) -> Limited:
    """Run a program within the limits; one that breaks them fails the test.

    Of memory, `peak_bytes` is the sharper measure: libraries reserve far more than they take.
    """

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
        resource.setrlimit(resource.RLIMIT_AS, (address_space_bytes, address_space_bytes))

    run = subprocess.run(
        [sys.executable, "-c", program + _PEAK, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
        preexec_fn=limit,
    )
    assert run.returncode == 0, f"status {run.returncode}: {run.stderr}"
    return Limited(run.stdout, int(run.stderr.split()[-1]) << 10)
