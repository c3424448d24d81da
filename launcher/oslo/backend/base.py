"""What a backend of oslo.service is made of (oslo.service: the same)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from launcher.oslo.backend.exceptions import BackendComponentNotAvailable
from launcher.service.base import ServiceBase

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BaseBackend", "ComponentRegistry", "ServiceBase"]


class BaseBackend(ABC):
    """Something that has components."""

    @abstractmethod
    def get_service_components(self) -> dict[str, Any]:
        """Return the components by their names."""


class ComponentRegistry:
    """Components by their names; one that is None is not there."""

    def __init__(self, components: Mapping[str, Any]) -> None:
        self._components = components

    def __getitem__(self, key: str) -> Any:
        """Return a component.  Raises `BackendComponentNotAvailable`."""
        if key not in self:
            raise BackendComponentNotAvailable(f"Component '{key}' is not available in this backend.")
        return self._components[key]

    def __contains__(self, key: str) -> bool:
        """Whether there is such a component."""
        return self._components.get(key) is not None
