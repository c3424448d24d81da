"""The options of launchers, for who wants other defaults (oslo.service: the same)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oslo_config import cfg

from launcher.oslo import _options

if TYPE_CHECKING:
    from collections.abc import Iterable


def register_service_opts(conf: cfg.ConfigOpts) -> None:
    """Register `log_options` and `graceful_shutdown_timeout`; again is no harm."""
    register(conf, _options.service_opts)


def register(conf: cfg.ConfigOpts, options: Iterable[cfg.Opt]) -> None:
    """Register options of group DEFAULT, except where a library has registered one of the same name."""
    for option in options:
        try:
            conf.register_opt(option)
        except cfg.DuplicateOptError:  # the same but for its help: cotyledon's, for one
            continue


def set_service_opts_defaults(conf: cfg.ConfigOpts, **kwargs: Any) -> None:
    """Register them and give them other defaults, in every configuration of this process."""
    register_service_opts(conf)
    cfg.set_defaults(_options.service_opts, **kwargs)
