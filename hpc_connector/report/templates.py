"""Templates: how those of a package are opened, and that they are compiled once.

Importing Jinja2 takes 13 ms of CPU time and compiling the templates of a page 25 ms, of
a run that may take one second: :mod:`~hpc_connector.report.page` imports this module
where a page is made, and what was compiled is kept.
"""

import contextlib
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2.bccache import Bucket
from markupsafe import Markup

from hpc_connector.report.text import clean, keep_options, shorten

SHARED = "hpc_connector.report"  # its templates are those that pages share
HERE = Path(__file__)
JSON = {"separators": (",", ":"), "allow_nan": False}


class KeptTemplates(jinja2.FileSystemBytecodeCache):
    """Compiled templates, kept where Python keeps modules, if there is room."""

    def get_source_checksum(self, source: str) -> str:
        """Tell templates apart that were compiled of other text, or in another way."""
        options = f"{jinja2.__version__}\n{HERE.read_text(encoding='utf-8')}\n"
        return super().get_source_checksum(options + source)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        with contextlib.suppress(OSError):
            Path(self.directory).mkdir(exist_ok=True)
            super().dump_bytecode(bucket)


@cache
def open_templates(package: str) -> jinja2.Environment:
    """Open the templates of a package, and behind them the shared ones.

    In them text loses the characters that must not reach a page, a name without a value
    is an error, and ``read_part`` gives a style sheet or a script as it is.
    """
    loaders = [jinja2.PackageLoader(where, "") for where in (package, SHARED)]
    loader = jinja2.ChoiceLoader(loaders)
    templates = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=clean_text,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        bytecode_cache=KeptTemplates(str(HERE.parent / "__pycache__")),
    )
    templates.filters |= {"keep_options": keep_options, "shorten": shorten}
    templates.globals["read_part"] = lambda part: Markup(
        loader.get_source(templates, part)[0]  # a file of our packages
    )
    templates.policies["json.dumps_kwargs"] = JSON
    return templates


def clean_text(value: Any) -> Any:
    """Clean a value of a template if it is text, and not markup."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return clean(value) if is_text else value
