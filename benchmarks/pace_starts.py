"""What people wait for again and again: commands, edges, the first ``with``. How they are timed is ``pace_rows``'s."""

from __future__ import annotations

from pace_rows import Row

ROWS: tuple[Row, ...] = ()
