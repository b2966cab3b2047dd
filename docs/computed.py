"""What the documentation computes while it is built: sessions, tables, pictures and numbers in a sentence.

========================  ======================================================================================
``{session}``             runs statements and shows them as at Python's prompt, each with what it prints
``{computed}``            runs statements; what they print is Markdown, and takes the place of the block
``{picture}``             runs statements and shows the figure that the last one is; ``:alt:`` describes it
``{value}`expression```   puts a value into a sentence; integers get commas
========================  ======================================================================================

The blocks of a page share their names. A statement that fails fails the build.
"""

import ast
import base64
from collections.abc import Iterable
from contextlib import redirect_stdout
from io import BytesIO, StringIO
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

PIXELS_OF_AN_INCH = 150


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the blocks known to Sphinx."""
    app.add_directive("session", Session)
    app.add_directive("computed", Computed)
    app.add_directive("picture", Picture)
    app.add_role("value", Value())
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class Block(SphinxDirective):
    """Statements of a page."""

    has_content = True

    @property
    def names(self) -> dict[str, Any]:
        """What the page has defined so far."""
        return names_of(self)

    @property
    def code(self) -> str:
        """The statements as they stand in the page."""
        return "\n".join(self.content)


class Session(Block):
    """Statements as at the prompt, each with what it prints; an expression prints its value."""

    def run(self) -> list[nodes.Node]:
        """Run one after the other."""
        lines = []
        for statement in ast.parse(self.code).body:
            with redirect_stdout(StringIO()) as out:
                exec(compile(ast.Interactive([statement]), self.env.docname, "single"), self.names)
            typed = (ast.get_source_segment(self.code, statement) or "").splitlines()
            lines += [f"{'...' if i else '>>>'} {line}".rstrip() for i, line in enumerate(typed)]
            lines += out.getvalue().splitlines()
        text = "\n".join(lines)
        return [nodes.literal_block(text, text, language="pycon")]


class Computed(Block):
    """Statements whose output is a part of the page."""

    def run(self) -> list[nodes.Node]:
        """Run them and read what they print."""
        with redirect_stdout(StringIO()) as out:
            exec(compile(self.code, self.env.docname, "exec"), self.names)
        return self.parse_text_to_nodes(out.getvalue())


class Picture(Block):
    """Statements, the last of which is an expression: the axes, or the figure, to show."""

    option_spec: ClassVar = {"alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Run them and put the figure into the page."""
        *statements, last = ast.parse(self.code).body
        exec(compile(ast.Module(statements, []), self.env.docname, "exec"), self.names)
        drawn = eval(ast.unparse(last), self.names)
        figure = getattr(drawn, "figure", drawn)
        file = BytesIO()
        figure.savefig(file, format="png", dpi=PIXELS_OF_AN_INCH)
        data = base64.b64encode(file.getvalue()).decode("ascii")
        return [nodes.image(uri=f"data:image/png;base64,{data}", alt=self.options["alt"])]


class Value(SphinxRole):
    """A value in a sentence."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Evaluate the expression."""
        value = eval(self.text, names_of(self))
        return [nodes.Text(f"{value:,}" if isinstance(value, int) else str(value))], []


def names_of(block: Block | Value) -> dict[str, Any]:
    """Return the names of the page that is being read; `table` is there from the beginning."""
    page = block.env.temp_data
    if "computed" not in page:
        page["computed"] = {"table": table}
    names: dict[str, Any] = page["computed"]
    return names


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table in Markdown; columns of numbers end at the right."""
    lines = [[written(cell) for cell in row] for row in rows]
    rules = ["---:" if all(cell[:1].isdigit() for cell in column) else "---" for column in zip(*lines, strict=True)]
    for line in (list(heads), rules, *lines):
        print(f"| {' | '.join(line)} |")
    print()


def written(value: object) -> str:
    """Return a value as a sentence has it: integers with commas; no asterisk means emphasis, but within code."""
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return text if text.startswith("`") else text.replace("*", "\\*")
