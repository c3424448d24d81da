"""Every option of our own; `make sample` writes the sample in config/ from them.

They are read from the files in config/, from the secrets, and from the environment, which wins:
`{{ cookiecutter.__variable }}NAME`.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from oslo_config import cfg

if TYPE_CHECKING:
    from collections.abc import Sequence

GROUP = "{{ cookiecutter.__module }}"

OPTIONS: tuple[cfg.Opt, ...] = (
{% if cookiecutter.__api %}
    cfg.StrOpt(
        "token",
        default="",
        secret=True,
{% if cookiecutter.__full %}
        help="What a client must send as `Authorization: Bearer TOKEN` to hand in a message. If empty, nobody may.",
{% else %}
        help="What a client must send as `Authorization: Bearer TOKEN` to see /private. If empty, nobody may.",
{% endif %}
    ),
{% endif %}
{% if cookiecutter.__worker %}
    cfg.URIOpt(
        "redis_url",
        default="redis://127.0.0.1:6379/0",
        schemes=["redis", "rediss", "unix"],
        help="Where Redis is; it must keep what it has told that it has (appendfsync always, no eviction).",
    ),
    cfg.StrOpt("redis_password", default="", secret=True, help="The password of Redis; empty if it has none."),
    cfg.StrOpt(
        "stream",
        default="{{ cookiecutter.__slug }}",
        help="The stream that messages wait in, and its consumer group.",
    ),
    cfg.FloatOpt(
        "claim_after",
        default=30.0,
        min=0.1,
        help="Seconds after which a message whose worker is not heard of any more goes to another one.",
    ),
    cfg.IntOpt(
        "max_deliveries",
        default=10,
        min=1,
        help="After so many attempts a message is put aside, into the stream STREAM:failed.",
    ),
{% endif %}
{% if cookiecutter.__scheduler %}
    cfg.FloatOpt("interval", default={{ '10.0' if cookiecutter.__full else '1.0' }}, min=0.01, help="Seconds from one tick of the scheduler to the next."),
{% endif %}
)


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options on `conf`; again is no harm."""
    conf.register_opts(list(OPTIONS), group=GROUP)


def list_opts() -> Sequence[tuple[str, list[cfg.Opt]]]:
    """Return the options for `oslo-config-generator`."""
    return [(GROUP, [deepcopy(option) for option in OPTIONS])]
