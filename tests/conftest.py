"""How the property tests search: anew each time at a desk, the same cases each time where a verdict hangs on it."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("same-cases", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("same-cases")
