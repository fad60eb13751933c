"""Markdown as KFP's UI shows it, by the very renderers that its releases use; without them these tests are skipped.

npm install --prefix tests/unit/shared/kfp_ui --legacy-peer-deps
"""

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

FOLDER = Path(__file__).parent / "kfp_ui"
RENDERERS = ("markdown-to-jsx-6", "markdown-to-jsx-7")
"""Up to KFP 2.16, and in 2.17."""


def is_installed() -> bool:
    """Whether the renderers can be asked."""
    return shutil.which("node") is not None and (FOLDER / "node_modules").is_dir()


class Shown(HTMLParser):
    """What a reader sees: tables as rows of texts, and everything else."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._cell = False
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        self._cell = tag in ("td", "th") or (self._cell and tag in ("strong", "em", "code"))
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._cell:
            self.rows[-1][-1] = (self.rows[-1][-1] + data).strip()


def shown(markdown: str, renderer: str) -> Shown:
    """What KFP's UI makes of a text."""
    done = subprocess.run(
        ["node", str(FOLDER / "render.cjs"), renderer], input=markdown, capture_output=True, text=True, check=True, cwd=FOLDER
    )
    return Shown(done.stdout)
