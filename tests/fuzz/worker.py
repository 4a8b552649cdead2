"""A process that tries one damaged file after the other: `python -m tests.fuzz.worker`.

It reads a line of JSON for each case and answers with one. It may crash or hang over a file:
whoever started it finds out, and starts another one.
"""

import json
import resource
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.fuzz.cases import Verdict, try_file
from tests.fuzz.mutations import mutated

from rvm_client.matte import MattingModel

# Beyond it an allocation fails, where otherwise the machine would be killing others.
ADDRESS_SPACE_BYTES = 8 << 30


@dataclass(frozen=True)
class Case:
    """One damaged file and what is done with it: all of it follows from these."""

    number: int
    seed: int
    seed_file: str
    other_file: str
    triton_url: str | None
    """Where there is one, the whole pipeline runs."""
    max_bytes: int

    def content(self) -> bytes:
        """The damaged file."""
        original, other = Path(self.seed_file).read_bytes(), Path(self.other_file).read_bytes()
        return mutated(original, other, self._random("content"))

    def _random(self, use: str) -> Random:
        return Random(f"{use} {self.seed} {self.number}")

    def run(self, folder: Path) -> dict[str, object]:
        """Try it in a folder; the outcome as JSON has it."""
        path = folder / f"case{Path(self.seed_file).suffix}"
        path.write_bytes(self.content())
        with ExitStack() as stack:
            model = None
            if self.triton_url is not None:
                model = stack.enter_context(MattingModel(self.triton_url, request_timeout_s=30))
            outcome = try_file(path, folder / "work", self._random("use"), model, self.max_bytes)
        return {
            "verdict": Verdict(outcome.verdict).value,
            "words": outcome.words,
            "peak_bytes": outcome.peak_bytes,
        }


def main() -> None:
    """Try what standard input says, in the folder that the argument names."""
    folder = Path(sys.argv[1])
    # What FFmpeg, codecs or a stray print say goes to stderr, never between the answers.
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    for line in sys.stdin:
        print(json.dumps(Case(**json.loads(line)).run(folder)), flush=True)


if __name__ == "__main__":
    main()
