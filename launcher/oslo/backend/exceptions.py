"""What goes wrong with backends (oslo.service: the same)."""

from __future__ import annotations


class BackendAlreadySelected(Exception):
    """Another backend is in use already."""


class BackendComponentNotAvailable(Exception):
    """The backend has no such component."""


class UnsupportedBackendError(Exception):
    """Something was used that does not work on the threading backend."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or "this does not work on the threading backend of oslo_service")
