"""Parses install.ps1 with the tree-sitter grammar of PowerShell: a mistake in its syntax ends with its line and 1."""

import sys

import tree_sitter_powershell
from tree_sitter import Language, Parser


def errors(node):
    """The nodes that are no PowerShell, or that lack something."""
    if node.type == "ERROR" or node.is_missing:
        yield node
        return
    if node.has_error:
        for child in node.children:
            yield from errors(child)


def main(path):
    with open(path, "rb") as file:
        text = file.read()
    tree = Parser(Language(tree_sitter_powershell.language())).parse(text)
    found = list(errors(tree.root_node))
    for node in found:
        line = node.start_point[0]
        shown = text.splitlines()[line].decode(errors="replace").strip() if line < len(text.splitlines()) else ""
        print(f"{path}:{line + 1}: {shown}")
    return 1 if found or tree.root_node.end_byte == 0 else 0


sys.exit(main(sys.argv[1]))
