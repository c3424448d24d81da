"""The same examples in every run, for an unlucky seed must not fail somebody's change.

Explore with `pytest tests/property --hypothesis-profile=explore`, and `--hypothesis-seed` to choose where.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("same", derandomize=True)
settings.register_profile("explore", derandomize=False)
settings.load_profile("same")
