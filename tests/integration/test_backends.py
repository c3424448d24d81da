"""Which tests of containers run on both backends, and why the others do not: what is in neither table fails here.

tests/functional/test_backends.py has the finer cases; a container is started for what only a container shows.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

from tests.backends import of_folder, unaccounted

BOTH = {"eventlet", "threading"}

CASES = {
    "the example services, from start to stop": "test_shop::*",
    "the example services, as README starts them": "test_compose::*",
    "several services": "test_process_tree::test_two_services_run_side_by_side",
    "respawn after SIGKILL": "test_replacement::test_a_killed_worker_is_replaced_while_requests_go_on",
    "HUP under load": "test_replacement::test_hup_replaces_all_workers_without_a_failed_request",
    "scale and reload from inside": "test_control::test_it_is_scaled_and_reloaded_while_requests_go_on",
    "a stop with slow requests": "test_stop::test_slow_requests_in_flight_are_answered",
    "a stop with connections in the kernel's queue": "test_stop::test_connections_in_the_queue_are_answered",
    "a stop and clients that stay": "test_stop::test_keep_alive_clients_are_told_to_close",
    "a stop and idle connections": "test_stop::test_an_idle_keep_alive_connection_gets_one_more_answer",
    "drain": "test_stop::test_during_the_drain_delay_it_is_not_ready_and_serves",
    "the end of the grace": "test_stop::test_a_worker_that_ignores_term_is_killed_after_the_grace",
    "crash loop": "test_failures::test_a_crash_loop_ends_the_container_with_the_workers_code",
    "hooks": "test_hooks::test_hooks_run_in_order_in_processes_of_their_own",
    "max_requests": "test_limits::test_workers_that_have_done_enough_are_replaced_without_a_failed_request",
    "orphans of a request": "test_reaping::test_orphans_are_reaped",
    "nothing writable, a user without a name": "test_hardening::test_any_user_without_capabilities_*",
}

ONE_IS_ENOUGH = {
    "PID 1 does it, or the kernel; workers are there to be counted": (
        "test_control",
        "test_hardening",
        "test_limits",
        "test_not_pid_1",
        "test_process_tree",
        "test_reaping",
        "test_replacement::test_ttin_and_ttou_change_the_number_of_workers",
        "test_stop::test_int_is_graceful_and_quit_and_a_second_int_are_not",
    ),
    "no worker is there, or gets as far as its backend": (
        "test_commands",
        "test_exec",
        "test_failures",
        "test_hooks::test_a_pre_start_that_fails_ends_the_container",
        "test_image",
        "test_stop::test_term_while_the_application_is_imported_ends_it",
    ),
    "a program of OpenStack's own, on the backend that it chooses; `make openstack` has both": ("test_openstack",),
    "the same once more": ("test_replacement::test_hup_again_and_again_loses_nothing_either",),
    "it is about eventlet: one thread, which a request can hold up or which can be copied": (
        "test_liveness",
        "test_replacement::test_a_copy_of_a_warm_worker_becomes_the_mold",
    ),
    "each kind of project is made for one of the two, as its BACKENDS say": ("test_template",),
    "it runs nothing": ("test_backends",),
}


@cache
def found_here() -> dict[str, set[str]]:
    return of_folder(Path(__file__).parent)


def test_each_test_runs_on_both_backends_or_says_why_not() -> None:
    assert unaccounted(found_here(), ONE_IS_ENOUGH) == []


@pytest.mark.parametrize("case", CASES)
def test_what_a_backend_has_a_part_in_runs_on_both(case: str) -> None:
    found = [backends for test, backends in found_here().items() if fnmatchcase(test, CASES[case])]
    assert found, "there is no such test"
    assert all(backends >= BOTH for backends in found)
