"""Links between pages lead somewhere."""

import re
from pathlib import Path

import pytest
from tests.docs.pages import PAGES, README, ROOT, prose

WITH_LINKS = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "model_repository" / "README.md"]


def links(page: Path) -> list[tuple[Path, str]]:
    """Where a page's links lead within the project: the file, and the anchor in it."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    found = []
    for target in targets:
        if not target.startswith(("http://", "https://")):
            path, _, anchor = target.partition("#")
            found.append(((page.parent / path).resolve() if path else page, anchor))
    return found


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", WITH_LINKS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in links(page):
        assert path.exists(), f"{page.name} links to {path}"
        assert not anchor or anchor in anchors(path), f"{page.name} links to #{anchor}"


def test_every_page_is_reached_from_the_readme() -> None:
    reached, ahead = {README}, [README]
    while ahead:
        for path, _ in links(ahead.pop()):
            if path in PAGES and path not in reached:
                reached.add(path)
                ahead.append(path)
    assert reached == {*PAGES}
