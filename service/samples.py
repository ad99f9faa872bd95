"""Inputs that stand in the docs, warm models up, and are tried by tests. Knows the files in `web/` only."""

import base64
from pathlib import Path

SEVEN_PNG = (Path(__file__).parent / "web" / "seven.png").read_bytes()
"""A seven drawn with a thick pen on white, 160 x 160."""

SEVEN = base64.b64encode(SEVEN_PNG).decode()
