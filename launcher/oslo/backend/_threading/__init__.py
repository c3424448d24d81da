"""What some import of oslo.service's insides; where no backend was chosen, it is native threads from then on."""

from __future__ import annotations

from launcher.oslo import backend

if backend.get_backend_type() is None:
    backend.init_backend(backend.BackendType.THREADING)
