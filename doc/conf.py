"""Sphinx configuration. Neither the build nor the pages need a network: no intersphinx, no remote fonts or scripts."""

import re
from importlib.metadata import version as installed_version

project = "emkit"
author = "emkit developers"
release = installed_version("emkit")
version = release
copyright = f"2026, emkit developers; this is version {release}"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "matplotlib.sphinxext.plot_directive",  # the picture of the front page
    "sphinx_design",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # MathJax as files of the site; the default is fetched from the web by the browser
]
exclude_patterns = ["_build", "_benchmarks"]  # pages include the tables in that
templates_path = ["_templates"]
default_role = "code"  # `name` in a docstring is code, not a reference

autosummary_generate = True
toc_object_entries_show_parents = "hide"  # fit(), not EMGaussianMixture.fit(): the column is narrow
autodoc_typehints = "none"  # numpydoc sections give the types
numpydoc_show_class_members = False  # the class template lists them
numpydoc_use_plots = False
plot_include_source = plot_html_show_source_link = plot_html_show_formats = False
plot_formats = [("png", 150)]

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "subsection_order": [  # that of the user guide
        "../examples/em",
        "../examples/mixture",
        "../examples/hidden_markov",
        "../examples/topic_model",
        "../examples/imputer",
        "../examples/mixture_of_experts",
    ],
    "within_subsection_order": "FileNameSortKey",
    "filename_pattern": r"plot_",
    "ignore_pattern": r"(quickstart|poisson_mixture|larger_than_memory)\.py",
    "abort_on_example_error": True,
    "backreferences_dir": "generated/backreferences",  # for the small galleries of the API reference
    "doc_module": ("emkit",),
    "reference_url": {"emkit": None},
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,  # that page loads scripts from the web
}

html_theme = "pydata_sphinx_theme"
html_title = f"emkit {release}"
html_static_path = ["_static"]
html_css_files = ["emkit.css"]
NO_PAGES_BELOW = ("index", "when_em_fails", "benchmarks", "architecture", "add_a_model", "contributing", "changelog")
html_sidebars = {page: [] for page in NO_PAGES_BELOW}
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "emkit"},
    "header_links_before_dropdown": 5,
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}


def skip_inherited_from_sklearn(app, what, name, obj, skip, options):
    """Leave out what scikit-learn documents itself: its docstrings refer to pages that are not here."""
    module = getattr(obj, "__module__", None) or ""
    return True if module.startswith("sklearn.") else None


def plain_where_no_target(app, what, name, obj, options, lines):
    """Show as text what would be a reference to nothing: `n_iter_` in a type, [1]_ with the reference in the module.

    In the first line, which tables of contents repeat elsewhere, a reference is left out.
    """
    if lines:
        lines[0] = re.sub(r" \(\[\d+\]_[^)]*\)", "", lines[0])
    cited = set(re.findall(r"^\s*\.\. \[(\d+)\]", "\n".join(lines), flags=re.MULTILINE))
    for index, line in enumerate(lines):
        if re.match(r"\w+ : ", line):
            lines[index] = line = re.sub(r"(?<!`)\b(\w+_)(?=[,)])", r"``\1``", line)
        lines[index] = re.sub(r"\[(\d+)\]_", lambda m: m[0] if m[1] in cited else f"[{m[1]}]", line)


def setup(app):
    app.connect("autodoc-skip-member", skip_inherited_from_sklearn)
    app.connect("autodoc-process-docstring", plain_where_no_target, priority=1)  # before numpydoc
