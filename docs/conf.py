import importlib
import inspect
import sys
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from katcp import __version__  # noqa: E402 - the path has to be set first

project = "katcp"
author = "the authors of katcp"
copyright = author
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"katcp {release}"
html_show_copyright = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_rtype = False


class Door(SphinxDirective):
    """A table of the names that a module offers, with the first line of what each says."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        module = importlib.import_module(self.arguments[0])
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 35 65", ""]
        lines += ["   * - Name", "     - Meaning"]
        for name in sorted(module.__all__, key=str.lower):
            value = getattr(module, name)
            documented = inspect.ismodule(value) or inspect.isclass(value) or callable(value)
            text = inspect.getdoc(value) if documented else f"``{value!r}``"
            first = (text or "").strip().partition("\n\n")[0].replace("\n", " ")
            lines += [f"   * - ``{name}``", f"     - {first}"]
        lines.append("")
        node = nodes.container()
        self.state.nested_parse(StringList(lines, source=self.arguments[0]), 0, node)
        return node.children


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive("door", Door)
    return {"parallel_read_safe": True}
