"""A small document (headings, paragraphs, lists, tables) as Markdown and as HTML, so that both say the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_MARKDOWN_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_[]<>|"})


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph; `strong` for what must not be overlooked."""

    text: str
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as they are to be read; `strong` are the numbers of the rows that the others are to be compared with."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    strong: frozenset[int] = frozenset()


Block = Paragraph | Bullets | Table


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A page; `language` is that of its words."""

    title: str
    language: str
    sections: tuple[Section, ...]


def to_markdown(document: Document) -> str:
    """The document in Markdown (CommonMark with tables)."""
    lines = [f"# {_md(document.title)}", ""]
    for section in document.sections:
        lines += [f"## {_md(section.title)}", ""] if section.title else []
        for block in section.blocks:
            lines += [*_markdown_block(block), ""]
    return "\n".join(lines)


def to_html(document: Document, *, links: Sequence[tuple[str, str]] = ()) -> str:
    """The document as a page in the style of the service; `links` (text, address) stand at its head."""
    body = "\n".join(_html_section(section) for section in document.sections)
    tools = "".join(f'<a class="tool" href="{escape(address)}">{escape(text)}</a>' for text, address in links)
    title = escape(document.title)
    return f"""<!doctype html>
<html lang="{escape(document.language)}">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>{title} – Roadtwin</title>
  <link rel="icon" href="/ui/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/ui/base.css">
  <link rel="stylesheet" href="/ui/docs.css">
</head>
<body>
  <header class="top">
    <a class="brand" href="/"><img src="/ui/icon.svg" alt="" width="26" height="26">
      <span class="brand-name">Roadtwin</span></a>
    <span>{tools}</span>
  </header>
  <main class="document">
<h1>{title}</h1>
{body}
  </main>
</body>
</html>
"""


def _md(text: str) -> str:
    return text.translate(_MARKDOWN_SPECIAL)


def _markdown_block(block: Block) -> list[str]:
    if isinstance(block, Paragraph):
        return [f"**{_md(block.text)}**" if block.strong else _md(block.text)]
    if isinstance(block, Bullets):
        return [f"- {_md(item)}" for item in block.items]
    rule = ["---", *["---:"] * (len(block.headings) - 1)]
    rows = (
        [f"**{_md(cell)}**" if number in block.strong else _md(cell) for cell in row]
        for number, row in enumerate(block.rows)
    )
    return [f"| {' | '.join(cells)} |" for cells in (map(_md, block.headings), rule, *rows)]


def _html_section(section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>"] if section.title else []
    return "\n".join([*parts, *(_html_block(block) for block in section.blocks)])


def _html_block(block: Block) -> str:
    if isinstance(block, Paragraph):
        text = escape(block.text)
        return f"<p><strong>{text}</strong></p>" if block.strong else f"<p>{text}</p>"
    if isinstance(block, Bullets):
        return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in block.items) + "</ul>"
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in block.headings)
    rows = "".join(
        f'<tr{" class=strong" if number in block.strong else ""}><th scope="row">{escape(row[0])}</th>'
        f"{''.join(f'<td>{escape(cell)}</td>' for cell in row[1:])}</tr>"
        for number, row in enumerate(block.rows)
    )
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
