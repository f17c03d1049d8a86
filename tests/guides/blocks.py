"""The code blocks of a guide in Markdown or reStructuredText, in its order."""

import pathlib
import re
import textwrap
from typing import NamedTuple


class Block(NamedTuple):
    heading: str
    language: str
    code: str


def blocks(guide: pathlib.Path) -> list[Block]:
    found, heading = [], ""
    pattern = re.compile(r"^(#+ .*?)$|^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    text = guide.read_text()
    # A line that begins with # inside a block is code: blocks are matched whole from their fence.
    position = 0
    while match := pattern.search(text, position):
        if match.group(1):
            heading = match.group(1).lstrip("# ").strip()
        else:
            found.append(Block(heading, match.group(2), match.group(3)))
        position = match.end()
    return found


def rst_blocks(guide: pathlib.Path) -> list[Block]:
    """Headings have a line of - or = below; a block is what stands further in than its directive."""
    pattern = re.compile(r"^(?P<heading>\S.*)\n[-=]{3,}$|^\.\. code-block:: (?P<language>\w+)\n\n(?P<code>(?:[ \t]+.*\n|\n)+)",
                         re.MULTILINE)
    found, heading = [], ""
    for match in pattern.finditer(guide.read_text() + "\n"):
        if match["heading"]:
            heading = match["heading"]
        else:
            found.append(Block(heading, match["language"], textwrap.dedent(match["code"]).strip() + "\n"))
    return found
