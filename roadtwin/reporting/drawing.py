"""How every plot of a report looks.

Colours are those of Okabe and Ito, which stay apart for the colour-blind; what a plot is compared with is
grey or dashed everywhere.
"""

import base64
import html
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter, DayLocator, MonthLocator
from matplotlib.figure import Figure
from numpy.typing import NDArray

from roadtwin.reporting.words import Words

BLUE, SKY, GREEN, ORANGE, RED, PURPLE, BLACK = (
    "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#222222",
)  # fmt: skip
REFERENCE, BAND = "#555555", "#DDDDDD"
CLASS_COLOURS = {"main": RED, "collector": ORANGE, "residential": BLUE, "other": PURPLE}
WIDE, TALL = (9.2, 2.7), (9.2, 4.6)
_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#777777",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.3,
    "svg.fonttype": "none",  # texts stay texts: small, searchable, and in two languages
    "svg.hashsalt": "roadtwin",  # the same drawing has the same bytes
    "path.simplify_threshold": 0.4,
}


_PATH = re.compile(r' d="[^"]*"|<use [^>]*>')
_DECIMALS = re.compile(r"(?<![#\w.])-?\d+\.\d{2,}")


def _shorter(number: re.Match[str]) -> str:
    """A coordinate to a twentieth of a point: nobody sees more, and the page is a third of its size."""
    return f"{float(number[0]):.1f}".removesuffix(".0")


@contextmanager
def figure(
    size: tuple[float, float] = WIDE, rows: int = 1, columns: int = 1, **more: Any
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure in the reports' style with its axes, to be drawn and turned into an image inside the context."""
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        drawing = Figure(figsize=size, layout="constrained")
        axes = drawing.subplots(rows, columns, squeeze=False, **more)
        yield drawing, list(axes.flat)


def svg(drawing: Figure) -> str:
    """The drawing as an SVG element, in English."""
    file = io.StringIO()
    drawing.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :].replace("'DejaVu Sans'", "'DejaVu Sans', 'Segoe UI', Arial, sans-serif")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = _PATH.sub(lambda path: _DECIMALS.sub(_shorter, path[0]), text)
    return re.sub(r">\s+<", ">\n<", text)


def png(drawing: Figure, words: Words, dots_per_inch: int = 110) -> str:
    """The drawing as an img element that holds its PNG: for thousands of lines, and without any text in it."""
    data = base64.b64encode(png_bytes(drawing, dots_per_inch)).decode()
    alternative = html.escape(" / ".join(words))
    return f'<img alt="{alternative}" src="data:image/png;base64,{data}">'


def png_bytes(drawing: Figure, dots_per_inch: int = 110) -> bytes:
    """The drawing as a PNG file."""
    file = io.BytesIO()
    drawing.savefig(file, format="png", dpi=dots_per_inch, metadata={"Software": None})
    return file.getvalue()


def month_axis(axes: Axes) -> None:
    """Ticks at the months, named by their first letters."""
    axes.xaxis.set_major_locator(MonthLocator())  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(DateFormatter("%b"))  # type: ignore[no-untyped-call]
    axes.margins(x=0.01)


def day_axis(axes: Axes, days: float) -> None:
    """Ticks at days, as 17.01."""
    axes.xaxis.set_major_locator(DayLocator(interval=max(1, round(days / 10))))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(DateFormatter("%d.%m."))  # type: ignore[no-untyped-call]
    axes.margins(x=0.01)


def day_numbers(times: Sequence[datetime]) -> NDArray[np.float64]:
    """Instants as a time axis has them: days since 1970, UTC."""
    return np.array([at.timestamp() for at in times]) / 86_400


def legend(axes: Axes, columns: int) -> None:
    """A legend to the right of the title, clear of what is drawn."""
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=columns, borderaxespad=0.1, handlelength=1.4)


def note(axes: Axes, text: str, x: float, y: float, **more: Any) -> None:
    """A short text at a place of the axes (0 to 1)."""
    axes.text(x, y, text, transform=axes.transAxes, fontsize=8, color=REFERENCE, **more)
