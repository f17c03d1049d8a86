"""PostgreSQL's regression scripts, read as psql reads them: statements, COPY's data, and variables."""

import pathlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

TOKEN = re.compile(r"""
    (?P<comment>--[^\n]*) | (?P<block>/\*)
  | (?P<string>[eE]'(?:[^'\\]|''|\\.)*' | '(?:[^']|'')*') | (?P<quoted>"(?:[^"]|"")*")
  | (?P<dollar>\$(?:[A-Za-z_]\w*)?\$)
  | (?P<variable>(?<![:\w]):(?:'(?P<literal>\w+)'|"(?P<name>\w+)"|(?P<plain>[A-Za-z_]\w*)))
  | (?P<meta>\\[^\n]*) | (?P<end>;) | (?P<open>[(]) | (?P<close>[)])
  | (?P<word>[A-Za-z_]\w*) | (?P<other>.)
""", re.VERBOSE | re.DOTALL)


@dataclass
class Statement:
    sql: str
    copy: str | None = None  # what follows COPY ... FROM STDIN


def read(path: pathlib.Path, variables: dict[str, str]) -> Iterator[Statement]:
    """The statements of a script; commands of psql are left out, but for a query they end."""
    text = path.read_text(errors="replace")
    at, sql, depth, routine = 0, "", 0, 0
    while at < len(text):
        token = TOKEN.match(text, at)
        kind, part, at = token.lastgroup, token[0], token.end()
        if kind in ("literal", "name", "plain"):
            kind = "variable"
        if kind == "comment":
            continue
        if kind == "block":
            at = end_of_comment(text, at)
            sql += " "
        elif kind == "dollar":
            end = text.find(part, at)
            end = len(text) if end < 0 else end + len(part)
            sql += part + text[at:end]
            at = end
        elif kind == "variable":
            sql += substituted(token, variables)
        elif kind == "meta":
            if sql.strip() and re.match(r"\\(g|crosstabview)", part):
                yield Statement(sql.strip())
                sql = ""
            elif re.match(r"\\[rp]\b", part):
                sql = ""
            set_variable(part, variables)
        elif kind == "end" and depth == 0 and routine == 0:
            statement = Statement(sql.strip())
            sql = ""
            if re.match(r"copy\b.*\bfrom\s+std(in|out)", statement.sql, re.IGNORECASE | re.DOTALL):
                statement.copy, at = copy_data(text, at)
            if statement.sql:
                yield statement
        else:
            depth = max(0, depth + (kind == "open") - (kind == "close"))
            if kind == "word" and re.match(r"\s*create\b.*\b(function|procedure)\b", sql, re.IGNORECASE | re.DOTALL):
                # the body of a routine in standard SQL
                routine += bool(re.fullmatch("atomic|case", part, re.IGNORECASE)) and (routine > 0 or part.lower() == "atomic")
                routine -= bool(re.fullmatch("end", part, re.IGNORECASE)) and routine > 0
            sql += part


def end_of_comment(text: str, at: int) -> int:
    """Comments of SQL nest."""
    depth = 1
    while depth and at < len(text):
        depth += text.startswith("/*", at) - text.startswith("*/", at)
        at += 2 if text.startswith(("/*", "*/"), at) else 1
    return at


def substituted(token: re.Match, variables: dict[str, str]) -> str:
    name = token["literal"] or token["name"] or token["plain"]
    if name not in variables:
        return token[0]
    if token["literal"]:
        return "'" + variables[name].replace("'", "''") + "'"
    return '"' + variables[name] + '"' if token["name"] else variables[name]


def set_variable(command: str, variables: dict[str, str]) -> None:
    """\\set NAME VALUE..., where values are put together."""
    words = command.split()
    if words[0] == "\\set" and len(words) > 2:
        variables[words[1]] = "".join(
            variables.get(word[1:].strip("'"), word) if word.startswith(":") else word.strip("'") for word in words[2:])


def copy_data(text: str, at: int) -> tuple[str, int]:
    begin = text.index("\n", at) + 1
    end = re.compile(r"^\\\.\s*$", re.MULTILINE).search(text, begin)
    return (text[begin:end.start()], end.end()) if end else ("", at)
