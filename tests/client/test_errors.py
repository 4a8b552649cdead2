"""Messages that others have a part in."""

import pytest

from rvm_client.errors import DownloadError, RvmError, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, mit Umlauten: ä, and a ×", "plain, mit Umlauten: ä, and a ×"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("two\r\nlines", "two\\r\\nlines"),
        ("a bell\x07 and \x9b", "a bell\\x07 and \\x9b"),
        ("turned \u202e round", "turned \\u202e round"),
        ("half \udc80 a pair", "half \\udc80 a pair"),
    ],
)
@pytest.mark.parametrize("kind", [RvmError, DownloadError])
def test_nothing_that_a_terminal_obeys_is_in_a_message(
    kind: type[RvmError], text: str, shown: str
) -> None:
    assert str(kind(text)) == printable(text) == shown
    assert shown.encode()


def test_a_message_has_an_end() -> None:
    assert len(str(RvmError("x" * 10**6))) == 2000
