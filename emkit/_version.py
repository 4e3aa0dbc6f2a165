"""The version of the installed package, which `pyproject.toml` states."""

from importlib.metadata import version

__version__ = version("emkit")  # read once: it is a file, and each fit and pickle asks for it
