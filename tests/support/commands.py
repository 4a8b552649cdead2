"""Our commands in this process, where no property of a process is tested."""

import signal

import click
from click.testing import CliRunner, Result


def invoke(command: click.Command, *arguments: object, **environment: str) -> Result:
    """What a command prints and how it exits.

    It may only exit: any other exception is the test's. Its handlers of signals do not stay.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    kept = [signal.getsignal(number) for number in numbers]
    try:
        result = CliRunner().invoke(command, [str(part) for part in arguments], env=environment)
    finally:
        for number, handler in zip(numbers, kept, strict=True):
            signal.signal(number, handler)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result
