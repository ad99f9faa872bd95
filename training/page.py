"""A page of tables and pictures as one HTML file that asks no host for anything. Knows `page.html` and PNG; knows no run.

What is empty is left out, so that whoever makes a page hands over all that there might be.
"""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from training.room import TrainingError

FOLDED = 24
"""Rows from which on a table is folded away."""


@dataclass(frozen=True)
class Table:
    """Rows by column; the first column names the row."""

    caption: str
    lines: Sequence[dict[str, Any]]
    closed: bool = False
    """Folded away however short it is."""

    @property
    def columns(self) -> list[str]:
        """Those of any row that hold something in some row."""
        found = dict.fromkeys(key for line in self.lines for key in line)
        return [key for key in found if any(map(said, self.column(key)))]

    @property
    def folded(self) -> bool:
        """Whether it opens only when it is asked to."""
        return self.closed or len(self.lines) >= FOLDED

    def numeric(self, column: str) -> bool:
        """Whether numbers stand in it."""
        return any(isinstance(value, int | float) and not isinstance(value, bool) for value in self.column(column))

    def column(self, name: str) -> list[Any]:
        """From top to bottom."""
        return [line.get(name) for line in self.lines]


@dataclass(frozen=True)
class Picture:
    """A PNG, with a caption and with what it shows for those who do not see it."""

    name: str
    png: bytes
    title: str
    description: str
    size: tuple[int, int]

    @classmethod
    def read(cls, path: Path) -> "Picture":
        """With the title and description in the file (see `plots.save`), or its name. Raises TrainingError on no picture."""
        png = path.read_bytes()
        try:
            with Image.open(io.BytesIO(png)) as opened:
                opened.load()  # the text may stand behind the pixels
                said, size = dict(opened.info), opened.size
        except (OSError, SyntaxError, ValueError) as error:
            raise TrainingError(f"{path} is no whole PNG: {error}.") from error
        title = str(said.get("Title") or path.stem.replace("_", " ").capitalize())
        return cls(path.name, png, title, str(said.get("Description") or f"The picture {path.name} of this run."), size)

    @property
    def uri(self) -> str:
        """The picture itself."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    heading: str
    said: Sequence[str] = ()
    """Sentences."""
    facts: dict[str, Any] = field(default_factory=dict)
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()

    @property
    def anchor(self) -> str:
        """What a link on the page leads to."""
        return self.heading.lower().replace(" ", "-")

    def __bool__(self) -> bool:
        return bool(self.said or self.pictures or any(map(said, self.facts.values())) or any(one.lines for one in self.tables))


@dataclass(frozen=True)
class Page:
    """What `render` makes a file of."""

    title: str
    summary: str
    state: str
    """In a sentence or two, what came of it."""
    good: bool
    command: str
    sections: Sequence[Section]


def said(value: Any) -> str:
    """A value as a person reads it; empty for nothing and for what is no number."""
    if value is None or value in ("", [], {}, ()) or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}" if value.is_integer() or abs(value) < 0.01 or abs(value) >= 10_000 else f"{value:.4f}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {said(one)}" for key, one in value.items())
    return ", ".join(map(said, value)) if isinstance(value, list | tuple) else str(value)


def _worded(name: str) -> str:
    return name.replace("_", " ")


def render(page: Page) -> str:
    """The whole file. Escapes all that is not the template's own."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(said=said, worded=_worded)
    return environment.get_template("page.html").render(page=page, sections=[one for one in page.sections if one])
