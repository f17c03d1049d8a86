"""The code blocks of a Markdown guide, in its order."""

import pathlib
import re
from typing import NamedTuple


class Block(NamedTuple):
    heading: str
    language: str
    code: str


def blocks(guide: pathlib.Path) -> list[Block]:
    found, heading = [], ""
    pattern = re.compile(r"^(#+ .*?)$|^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
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
