"""Read a page as a browser would, without one: its tags, what it would load, and its text by section."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "input", "br", "hr", "use", "path", "circle"}


@dataclass
class Page(HTMLParser):
    """Tags with their attributes in order, and the visible text of each section by its id."""

    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: dict[str, str] = field(default_factory=dict)
    styles: str = ""
    _open: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append((tag, found))
        self._say(" ")
        if tag not in VOID:
            self._open.append((tag, found.get("id", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            opened, _ = self._open.pop()
            assert opened == tag, f"<{opened}> is closed by </{tag}>"
        self._say(" ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if any(tag == "style" for tag, _ in self._open):
            self.styles += data
            return
        self._say(data)

    def _say(self, data: str) -> None:
        section = next((name for tag, name in reversed(self._open) if tag == "section"), "")
        self.text[section] = self.text.get(section, "") + data

    @property
    def names(self) -> set[str]:
        return {tag for tag, _ in self.tags}


def read_page(html: str) -> Page:
    """Parse a page; every tag that was opened must be closed in order."""
    page = Page()
    page.feed(html)
    page.close()
    assert not page._open, f"never closed: {page._open}"
    page.text = {name: re.sub(r"\s+", _blank, text) for name, text in page.text.items()}
    return page


def _blank(found: re.Match[str]) -> str:
    follows = found.string[found.end() : found.end() + 1]
    return "" if follows and follows in ";,.:)" else " "


def loaded(page: Page) -> list[str]:
    """Everything that the page would fetch by itself."""
    found = [
        attributes[name]
        for tag, attributes in page.tags
        for name in ("src", "srcset", "href", "xlink:href", "data", "poster", "action", "background")
        if name in attributes and not (tag == "a" and name == "href")
    ]
    styles = page.styles + " ".join(attributes.get("style", "") for _, attributes in page.tags)
    return found + re.findall(r"url\(([^)]*)\)", styles) + re.findall(r"@import\s*([^;]*)", styles)
