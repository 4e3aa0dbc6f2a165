"""Sphinx configuration. Neither the build nor the pages need a network: no intersphinx, no remote fonts or scripts."""

import html
import re
from importlib.metadata import version as installed_version

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)

project = "emkit"
author = "emkit developers"
copyright = "2026, emkit developers"
release = installed_version("emkit")
version = release

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
default_role = "code"  # `name` in a docstring is code, not a reference

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc sections give the types
numpydoc_show_class_members = False  # the class template lists them
numpydoc_use_plots = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "within_subsection_order": "FileNameSortKey",  # choosing K comes first
    "filename_pattern": r"plot_",
    "ignore_pattern": r"(quickstart|poisson_mixture|larger_than_memory)\.py",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,  # that page loads scripts from the web
}

html_theme = "pydata_sphinx_theme"
html_title = f"emkit {release}"
html_static_path = ["_static"]
html_css_files = ["emkit.css"]
html_sidebars = {page: [] for page in ("when_em_fails", "architecture", "add_a_model", "changelog")}  # no pages below
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
html_math_renderer = "mathml"  # the default, MathJax, is fetched from the web by the reader's browser


# Browsers set the name of a function without the spaces that TeX puts around it.
NAMED_FUNCTION = re.compile(r"<mi>(log|exp)</mi>\s*<mo>(?:&ApplyFunction;|\u2061)</mo>(\s*<mo[^>]*>\()?")


def spaced(match):
    """The name as an operator, with a thin space before it and, unless a bracket follows, after it."""
    name, bracket = match[1], match[2] or ""
    return f'<mo lspace="0.17em" rspace="{0 if bracket else 0.17}em">{name}</mo>{bracket}'


def to_mathml(node, *, as_block):
    """MathML of a formula; a LaTeX command unknown to docutils is a warning at its place, so that -W names it."""
    try:
        return NAMED_FUNCTION.sub(spaced, tex2mathml(node.astext(), as_block=as_block))
    except MathError as error:
        logger.warning("%s in the formula %s", error, node.astext(), location=node)
        return html.escape(node.astext())


def visit_math(self, node):
    """Write an inline formula."""
    self.body.append(to_mathml(node, as_block=False))
    raise nodes.SkipNode


def visit_math_block(self, node):
    """Write a displayed formula, with its label as target and its number."""
    target = f' id="{html.escape(node["ids"][0])}"' if node["ids"] else ""
    number = f'<span class="eqno">({node["number"]})</span>' if node["number"] else ""
    self.body.append(f'<div class="formula"{target}>{number}{to_mathml(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def skip_inherited_from_sklearn(app, what, name, obj, skip, options):
    """Leave out what scikit-learn documents itself: its docstrings refer to pages that are not here."""
    module = getattr(obj, "__module__", None) or ""
    return True if module.startswith("sklearn.") else None


def plain_where_no_target(app, what, name, obj, options, lines):
    """Show as text what would be a reference to nothing: `n_iter_` in a type, [1]_ with the reference in the module.

    In the first line, which tables of contents repeat elsewhere, a reference is left out.
    """
    if lines:
        lines[0] = re.sub(r" \(\[\d+\]_\)", "", lines[0])
    cited = set(re.findall(r"^\s*\.\. \[(\d+)\]", "\n".join(lines), flags=re.MULTILINE))
    for index, line in enumerate(lines):
        if re.match(r"\w+ : ", line):
            lines[index] = line = re.sub(r"(?<!`)\b(\w+_)(?=[,)])", r"``\1``", line)
        lines[index] = re.sub(r"\[(\d+)\]_", lambda m: m[0] if m[1] in cited else f"[{m[1]}]", line)


def setup(app):
    app.add_html_math_renderer("mathml", inline_renderers=(visit_math, None), block_renderers=(visit_math_block, None))
    app.connect("autodoc-skip-member", skip_inherited_from_sklearn)
    app.connect("autodoc-process-docstring", plain_where_no_target, priority=1)  # before numpydoc
