"""Turn sections into one HTML file that needs nothing else: no script, no font, no picture from outside."""

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
    """The last guard: no text reaches the page with control characters, whatever a section left in it."""
    return clean(value) if type(value) is str else value


def write_page(path: Path, template: str, context: Mapping[str, Any]) -> None:
    """Write a page so that a reader sees the old one or the new one and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, render(template, context))
