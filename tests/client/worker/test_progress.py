import asyncio
import time

import pytest

from rvm_client.worker.progress import ProgressReporter


class Recorder:
    """Takes its time over each message, and notes when it got it."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.messages: list[str] = []
        self.times_s: list[float] = []
        self.at_work = 0

    async def send(self, message: str) -> None:
        self.at_work += 1
        assert self.at_work == 1, "two messages were on their way at once"
        self.messages.append(message)
        self.times_s.append(time.monotonic())
        await asyncio.sleep(self.delay_s)
        self.at_work -= 1


async def report(recorder: Recorder, count: int, pause_s: float) -> None:
    async with ProgressReporter(recorder.send) as reporter:
        for number in range(count):
            await asyncio.to_thread(reporter.update, f"step {number}")
            await asyncio.sleep(pause_s)


def numbers(recorder: Recorder) -> list[int]:
    return [int(message.split()[1]) for message in recorder.messages]


def test_at_most_two_in_a_second_in_order_and_the_last_one_always() -> None:
    recorder = Recorder()
    asyncio.run(report(recorder, count=60, pause_s=0.05))
    assert numbers(recorder) == sorted(set(numbers(recorder)))
    assert numbers(recorder)[0] == 0
    assert numbers(recorder)[-1] == 59
    for first, third in zip(recorder.times_s, recorder.times_s[2:], strict=False):
        assert third - first >= 0.99


def test_a_slow_endpoint_delays_and_never_reorders() -> None:
    recorder = Recorder(delay_s=0.4)
    asyncio.run(report(recorder, count=10, pause_s=0.1))
    assert numbers(recorder) == sorted(set(numbers(recorder)))
    assert numbers(recorder)[-1] == 9
    assert recorder.at_work == 0


def test_the_same_message_is_sent_once() -> None:
    recorder = Recorder()

    async def repeat() -> None:
        async with ProgressReporter(recorder.send) as reporter:
            for _ in range(5):
                reporter.update("step 1")
                await asyncio.sleep(0.01)

    asyncio.run(repeat())
    assert recorder.messages == ["step 1"]


def test_after_a_failure_nothing_more_is_sent() -> None:
    recorder = Recorder()

    async def fail() -> None:
        async with ProgressReporter(recorder.send) as reporter:
            for number in range(3):
                reporter.update(f"step {number}")
                await asyncio.sleep(0.01)
            raise ValueError("the job failed")

    with pytest.raises(ValueError, match="the job failed"):
        asyncio.run(fail())
    assert numbers(recorder) == [0, 1]


def test_an_endpoint_that_fails_does_not_fail_the_job() -> None:
    async def refuse(message: str) -> None:
        raise OSError(f"no way for {message}")

    async def work() -> str:
        async with ProgressReporter(refuse) as reporter:
            reporter.update("step 1")
            await asyncio.sleep(0.01)
        return "done"

    assert asyncio.run(work()) == "done"
