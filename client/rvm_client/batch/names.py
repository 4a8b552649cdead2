"""What the results are called: after their sources, each name once, the same in each run."""

import os
import re
import urllib.parse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rvm_client.batch.items import Item
from rvm_client.errors import UsageError
from rvm_client.options import is_url

_LONGEST_CHARACTERS = 80
_ID_CHARACTERS = 8


def named(items: Sequence[Item], taken: Mapping[str, str], target: Path | None) -> list[Item]:
    """The items with names: the source's; else with its folder before it; else with a hash behind.

    Args:
        items: all of a batch; one that is there twice is left out.
        taken: names of files that are there already, and the id of the source of each.
        target: the folder where they will lie.

    Raises:
        UsageError: a result would take the place of a source.
    """
    distinct = list({(item.source_id, item.options_id): item for item in items}.values())
    done: dict[int, Item] = {}
    used = {name.casefold(): source for name, source in taken.items()}
    for make_name in (_stem, _stem_with_folder, _stem_with_hash):
        rest = [index for index in range(len(distinct)) if index not in done]
        tried = {i: replace(distinct[i], name=make_name(distinct[i])) for i in rest}
        counts = Counter(name for item in tried.values() for name in _files(item))
        for index, item in tried.items():
            if make_name is _stem_with_hash or _is_free(item, counts, used):
                done[index] = item
        used |= {name: item.source_id for item in done.values() for name in _files(item)}
    result = [done[index] for index in sorted(done)]
    if target is not None:
        _refuse_sources(result, target)
    return result


def _files(item: Item) -> list[str]:
    # Some file systems do not tell capitals from small letters.
    return [name.casefold() for name in item.file_names.values()]


def _is_free(item: Item, counts: Mapping[str, int], used: Mapping[str, str]) -> bool:
    return all(
        counts[name] == 1 and used.get(name, item.source_id) == item.source_id
        for name in _files(item)
    )


def _stem(item: Item) -> str:
    return _plain(_parts(item.source)[-1])


def _stem_with_folder(item: Item) -> str:
    return _plain("-".join(_parts(item.source)[-2:]))


def _stem_with_hash(item: Item) -> str:
    mark = f"{item.source_id[:_ID_CHARACTERS]}{item.options_id[:_ID_CHARACTERS]}"
    return f"{_stem(item)}-{mark}"


def _parts(source: str) -> list[str]:
    """The names of the way to a source, the last without its suffix."""
    if is_url(source):
        parts = urllib.parse.unquote(urllib.parse.urlsplit(source).path).split("/")
    else:
        parts = list(Path(os.path.normpath(Path(source).absolute())).parts)
    return [*parts[:-1], Path(parts[-1]).stem]


def _plain(name: str) -> str:
    """A name that all file systems and stores take."""
    plain = re.sub(r"[^\w.\- ()]+", "_", name).strip(" .")
    return plain[:_LONGEST_CHARACTERS] or "video"


def _refuse_sources(items: Sequence[Item], target: Path) -> None:
    sources = {Path(item.source).resolve() for item in items if not is_url(item.source)}
    for item in items:
        for name in item.file_names.values():
            if (target / name).resolve() in sources:
                raise UsageError(f"the result {target / name} would take the place of a source")
