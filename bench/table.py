"""A table of text cells, and its Markdown: columns line up, so that it reads on a terminal too."""

from collections.abc import Sequence
from dataclasses import dataclass

NOT_TOLD = "-"
"""A cell for what was not told."""


@dataclass(frozen=True)
class Table:
    """Cells are ready to show; the first `text_columns` columns hold words, the others numbers."""

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 1

    def without_untold_columns(self) -> "Table":
        """The same without columns of numbers in which no row has one."""
        kept = [i for i in range(len(self.columns)) if i < self.text_columns or self._is_told(i)]
        return Table(
            title=self.title,
            caption=self.caption,
            columns=tuple(self.columns[i] for i in kept),
            rows=tuple(tuple(row[i] for i in kept) for row in self.rows),
            text_columns=self.text_columns,
        )

    def _is_told(self, column: int) -> bool:
        return any(row[column] != NOT_TOLD for row in self.rows)


def markdown(table: Table) -> str:
    """Head, rule and rows; without title and caption."""
    widths = [max(len(cell) for cell in column) for column in zip(table.columns, *table.rows, strict=True)]
    rule = [
        "-" * width if i < table.text_columns else "-" * (width - 1) + ":" for i, width in enumerate(widths)
    ]
    return "\n".join(_line(cells, widths, table.text_columns) for cells in (table.columns, rule, *table.rows))


def markdown_section(table: Table) -> str:
    """The table under its title and caption."""
    return f"## {table.title}\n\n{table.caption}\n\n{markdown(table)}"


def _line(cells: Sequence[str], widths: list[int], text_columns: int) -> str:
    aligned = (
        cell.ljust(width) if i < text_columns else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"| {' | '.join(aligned)} |"
