"""Lets tests import the project's own `generated` and `handlers`, wherever Sun is installed."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
