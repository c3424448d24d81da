"""For tests of code that uses looping calls (oslo.service: the same).  Needs the package `fixtures`."""

from __future__ import annotations

import fixtures

from launcher.oslo import loopingcall

__all__ = ["SleepFixture"]


class SleepFixture(fixtures.Fixture):
    """Looping calls do not sleep; each wait that is left out is a call of `mock_wait`, with its seconds."""

    def _setUp(self) -> None:  # noqa: N802 - its name there
        patch = fixtures.MockPatchObject(loopingcall.LoopingCallBase, "_sleep")
        self.mock_wait = self.useFixture(patch).mock
