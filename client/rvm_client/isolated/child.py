"""The decoding process: `python -m rvm_client.isolated.child ...`, started by `process`.

It serves one job. Each file that the worker asks for has a connection and a thread of its own.
It ends when the worker does, or closes the first connection.
"""

import os
import signal
import sys
import threading
from contextlib import suppress

from rvm_client.isolated import confine
from rvm_client.isolated.channel import ClosedError, DecoderEnd, from_descriptor
from rvm_client.isolated.messages import Begin, Confined, Ready
from rvm_client.isolated.serving import keep_log_lines, serve


def main(arguments: list[str]) -> None:
    """Serve one job, under the limits that the arguments say."""
    descriptor, parent, memory_bytes, cpu_seconds, gpu = map(int, arguments)
    uses_gpu = bool(gpu)
    confine.limit(confine.ProcessLimits(memory_bytes, cpu_seconds), parent)
    refuses_calls = confine.refuse_calls(uses_gpu=uses_gpu)
    # The worker decides when a job ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_log_lines()
    worker = from_descriptor(descriptor)
    with suppress(ClosedError):
        worker.send(Ready(refuses_calls=refuses_calls))
        _serve_job(worker, uses_gpu=uses_gpu)
    # Threads at work are not waited for.
    os._exit(0)


def _serve_job(worker: DecoderEnd, *, uses_gpu: bool) -> None:
    while True:
        request, descriptors = worker.receive()
        if isinstance(request, Begin):
            # Before the first thread: what is given up here is given up by those that follow.
            done = confine.see_only(request.folder, [*filter(None, sys.path)], uses_gpu=uses_gpu)
            worker.send(Confined(sees_only_the_folder=done))
            continue
        connection, *blocks = descriptors
        service = (from_descriptor(connection), request, blocks)
        threading.Thread(target=serve, args=service, daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1:])
