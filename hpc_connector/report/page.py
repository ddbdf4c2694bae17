"""A page of a report: its parts as they are in the package, and its file."""

from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from hpc_connector.publish import publish


def render_page(package: str, name: str, /, **values: Any) -> str:
    """Fill a template with values.

    Parameters
    ----------
    package
        Where the template is, and what it extends, imports and reads if that is not
        shared by all pages.
    name
        Of its file, which extends ``base.html``.

    Examples
    --------
    >>> page = render_page("hpc_connector.report", "base.html")
    >>> page.startswith("<!doctype html>")
    True
    """
    from hpc_connector.report.templates import open_templates  # it is slow to import

    return open_templates(package).get_template(name).render(values)


def read_part(name: str, package: str = "hpc_connector.report") -> str:
    """Return a template, a style sheet or a script of a package."""
    return (files(package) / name).read_text(encoding="utf-8")


def fill_page(
    *,
    style: str,
    title: str,
    kicker: str,
    heading: str,
    tiles: str,
    about: str,
    sections: list[str],
    lead: str = "",
    end: str = "",
) -> str:
    """Return a whole page, all of it in one file; the parts are HTML.

    Parameters
    ----------
    style
        What it adds to the style that all pages share.
    kicker, heading, lead, tiles, about
        Of the header, from above; `lead` and `about` are blocks.
    end
        After the sections: scripts, and what they show.
    """
    return Template(read_part("page.html")).substitute(
        style=read_part("common.css") + style,
        title=title,
        kicker=kicker,
        heading=heading,
        lead=f'<div class="lead">{lead}</div>\n' if lead else "",
        tiles=tiles,
        about=about.rstrip("\n"),
        sections="".join(sections),
        end=end,
    )


def make_section(name: str, title: str, said: str, body: str) -> str:
    """Return a part of the page; empty without a body."""
    intro = f'<p class="intro">{said}</p>' if said else ""
    return f'<section id="{name}"><h2>{title}</h2>{intro}{body}</section>'


def make_legend(names: dict[str, str]) -> str:
    """Return a line that says what the colours are, by class."""
    items = "".join(
        f'<li><i class="{kind}"></i>{escape(name)}</li>' for name, kind in names.items()
    )
    return f'<ul class="legend">{items}</ul>'


def save_page(directory: Path, page: str) -> Path:
    """Write ``report.html``, published by rename."""
    path = directory / "report.html"
    with publish(path) as stream:
        # What JSON allows and UTF-8 does not, half a surrogate pair, becomes its number
        stream.write(page.encode(errors="xmlcharrefreplace"))
    return path
