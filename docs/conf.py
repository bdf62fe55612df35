import importlib
import inspect
import sys
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from _diagrams import inspecting_client_states  # noqa: E402 - the path has to be set first

from katcp import __version__  # noqa: E402

project = "katcp"
author = "the authors of katcp"
copyright = author
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"katcp {release}"
html_show_copyright = False

# The notebooks are run by the tests; what they said then is shown.
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
# `type` in an annotation is the built-in one, also where classes have attributes of that name.
suppress_warnings = ["ref.python"]
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_rtype = False
napoleon_use_ivar = True
# Requests say in their docstrings, which are the texts of ?help, what informs they send.
napoleon_custom_sections = ["Informs"]


class Door(SphinxDirective):
    """A table of the names that a module offers, with the first line of what each says."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        module = importlib.import_module(self.arguments[0])
        lines = ["| Name | Meaning |", "|---|---|"]
        for name in sorted(module.__all__, key=str.lower):
            value = getattr(module, name)
            documented = inspect.ismodule(value) or inspect.isclass(value) or callable(value)
            text = inspect.getdoc(value) if documented else repr(value)
            first = (text or "").strip().partition("\n\n")[0].replace("\n", " ")
            if not documented:
                first = f"`{first}`" if len(first) < 40 else f"a `{type(value).__name__}`"
            escaped = first.replace("|", r"\|")
            lines.append(f"| `{name}` | {escaped} |")
        node = nodes.container()
        self.state.nested_parse(StringList(lines, source=self.arguments[0]), 0, node)
        return node.children


class InspectingClientStates(SphinxDirective):
    """A diagram of the states of an inspecting client, drawn from their table."""

    def run(self) -> list[nodes.Node]:
        """Draw it."""
        return [nodes.raw("", f"<figure>{inspecting_client_states()}</figure>", format="html")]


def skip_names_of_other_doors(
    app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object
) -> bool | None:
    """Describe a class or function once, on the page of the module that it comes from."""
    door = "katcp." + app.env.docname.rpartition("/")[2]
    home = getattr(obj, "__module__", None) or door
    if what == "module" and home.startswith("katcp.") and not f"{home}.".startswith(f"{door}."):
        return True
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directives."""
    app.add_directive("door", Door)
    app.add_directive("inspecting-client-states", InspectingClientStates)
    app.connect("autodoc-skip-member", skip_names_of_other_doors)
    return {"parallel_read_safe": True}
