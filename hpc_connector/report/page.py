"""Pages of HTML: templates fill them, and escape all text that is not markup of ours.

Python makes values; the templates stand beside it. What is :class:`markupsafe.Markup`
goes into a page as it is: pictures of :func:`~hpc_connector.report.svg.make_svg`, and
style sheets and scripts of our packages.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hpc_connector.publish import name_published, publish


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


def render_table(
    heads: Iterable[str], rows: Iterable[Iterable[str]], caption: str
) -> str:
    """Return a table in HTML, as notebooks show one."""
    values: dict[str, Any] = {"heads": heads, "rows": rows, "caption": caption}
    return render_page("hpc_connector.report", "table.html", **values)


def save_page(path: Path, page: str) -> Path:
    """Write a page, published by rename; return its path."""
    with publish(path) as stream:
        # What JSON allows and UTF-8 does not, half a surrogate pair, becomes its number
        stream.write(page.encode(errors="xmlcharrefreplace"))
    return name_published(path)
