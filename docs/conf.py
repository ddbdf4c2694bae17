"""How the documentation is built: ``make docs``, or sphinx-build -W docs build/docs."""

import sys
from importlib.metadata import version as get_version
from pathlib import Path

from numpy.typing import ArrayLike
from sphinx.util.typing import stringify_annotation

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "HPC Data Connector"
author = "the HPC Data Connector project"
project_copyright = "the HPC Data Connector project, Apache-2.0"
release = version = get_version("hpc_connector")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_design",
    "column_reference",
    "command_reference",
    "mathml",
]
exclude_patterns = ["_*"]
smartquotes = False  # of --out they make a dash
templates_path = ["_templates"]

# Markdown
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
highlight_language = "none"

# The API: what a module lists in __all__
autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
numpydoc_show_class_members = False

# Pages that need no network, neither to be built nor to be read
html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_sidebars = {page: [] for page in ("index", "install", "performance")}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": project},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 7,
    "show_prev_next": True,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}


def shorten_signature(app, what, name, obj, options, signature, returns):
    """Call ArrayLike by its name: it stands in a signature with all that it may be."""
    if signature is None:
        return None
    for mode in ("smart", "fully-qualified-except-typing"):
        signature = signature.replace(
            stringify_annotation(ArrayLike, mode), "ArrayLike"
        )
    return signature, returns


def setup(app):
    """Register what shortens signatures."""
    app.connect("autodoc-process-signature", shorten_signature)
