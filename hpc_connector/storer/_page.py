"""A page of a report: its parts as they are in the package, and its file."""

from importlib.resources import files
from pathlib import Path

from hpc_connector.publish import publish


def read_part(name: str) -> str:
    """Return a template, a style sheet or a script of the package."""
    return (files("hpc_connector.storer") / name).read_text(encoding="utf-8")


def make_section(name: str, title: str, said: str, body: str) -> str:
    """Return a part of the page; empty without a body."""
    intro = f'<p class="intro">{said}</p>' if said else ""
    return f'<section id="{name}"><h2>{title}</h2>{intro}{body}</section>'


def save_page(directory: Path, page: str) -> Path:
    """Write ``report.html``, published by rename."""
    path = directory / "report.html"
    with publish(path) as stream:
        # What JSON allows and UTF-8 does not, half a surrogate pair, becomes its number
        stream.write(page.encode(errors="xmlcharrefreplace"))
    return path
