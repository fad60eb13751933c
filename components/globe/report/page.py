"""Turn sections into one self-contained HTML file: no scripts, and no fonts or pictures from elsewhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from globe.files import write_atomically
from globe.report.text import clean


def render(template: str, context: Mapping[str, Any]) -> str:
    """Render a template of this package; every value is escaped, and a missing one is an error."""
    environment = Environment(
        loader=PackageLoader("globe.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(context)


def _printable(value: Any) -> Any:
    """A last safeguard: remove control characters that a section may have left in a text."""
    return clean(value) if type(value) is str else value


def write_page(path: Path, template: str, context: Mapping[str, Any]) -> None:
    """Render a page and write it."""
    write_rendered(path, render(template, context))


def write_rendered(path: Path, page: str) -> None:
    """Write a page atomically: a reader sees either the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, page)
