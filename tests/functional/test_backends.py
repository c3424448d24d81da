"""Which tests run on both backends, and why the others do not: what is in neither table fails here."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

from tests.backends import of_folder, unaccounted

BOTH = {"eventlet", "threading"}

CASES = {
    "the example services, from start to stop": "test_example_shop::test_it_serves_is_repaired_*",
    "the example services, as README starts them": "test_make_run::test_make_run_serves_from_four_workers_until_ctrl_c",
    "N workers serve": "test_run_serving::test_all_workers_serve",
    "respawn after SIGKILL": "test_run_serving::test_a_killed_worker_is_replaced_while_requests_go_on",
    "TERM while it starts": "test_run_stop::test_term_at_any_instant_of_the_start_ends_it",
    "a stop with slow requests": "test_run_stop::test_slow_requests_in_flight_finish",
    "a stop with connections in the kernel's queue": "test_run_stop::test_connections_queued_in_the_kernel_are_served",
    "drain": "test_run_stop::test_drain_delay_serves_on_but_is_not_ready",
    "the end of the grace": "test_run_stop::test_a_worker_that_does_not_end_shows_its_stacks_and_is_killed",
    "HUP under load": "test_run_reload::test_a_reload_under_load_fails_no_request",
    "HUP that keeps the workers": "test_run_reload::test_reset_keeps_the_workers",
    "a new generation that does not start": "test_run_reload::test_a_generation_that_does_not_start_is_abandoned",
    "crash loop": "test_run_crashes::test_a_crash_loop_ends_the_container_with_the_code_and_the_reason",
    "a start that hangs": "test_run_crashes::test_a_start_that_hangs_is_bounded",
    "the hooks, preload among them": "test_run_hooks::test_hooks_run_in_order_each_in_its_process",
    "max_requests, max_worker_lifetime": "test_run_limits::test_workers_are_replaced_without_a_failed_request",
    "as many workers as the load needs": "test_run_limits::test_an_elastic_service_has_as_many_workers_as_*",
    "stacks on USR2": "test_run_signals::test_usr2_shows_the_state_and_every_workers_stacks",
    "signals to the application": "test_run_signals::test_usr1_winch_and_realtime_signals_reach_every_worker",
    "orphans": "test_run_orphans::test_two_hundred_orphans_are_reaped",
    "descriptors": "test_run_workers::test_a_worker_holds_no_descriptor_that_is_not_its_own",
    "the mold's end": "test_run_workers::test_a_killed_mold_is_replaced_and_nobody_notices",
    "the supervisor's end": "test_run_workers::test_workers_do_not_outlive_a_killed_supervisor",
    "random numbers": "test_run_workers::test_every_worker_draws_its_own_random_numbers",
    "idle": "test_idle_workers::*",
    "ServiceLauncher": "test_service_launcher::test_a_signal_lets_work_in_flight_finish",
    "ServiceLauncher, HUP": "test_service_launcher_reload::test_hup_restarts_the_services_in_place_*",
    "ServiceLauncher, a stop that takes too long": "test_service_launcher::test_a_stop_that_takes_too_long_*",
    "ProcessLauncher": "test_process_launcher::test_workers_are_forked_and_end_by_term_or_int",
    "ProcessLauncher, respawn": "test_process_launcher_ends::test_a_dead_worker_is_replaced",
    "ProcessLauncher, HUP": "test_process_launcher_reload::test_hup_replaces_the_workers_one_by_one_*",
    "ProcessLauncher, HUP that keeps the workers": "test_process_launcher_reload::test_hup_can_mutate_instead",
    "ProcessLauncher, a socket": "test_process_launcher::test_a_wsgi_service_serves_on_the_socket_*",
    "ProcessLauncher, crash loop": "test_process_launcher_ends::test_workers_that_fail_at_once_end_the_program_*",
}

ONE_IS_ENOUGH = {
    "PID 1 does it, or what asks it; workers are there to be counted": (
        "test_run_control",
        "test_run_crashes::test_an_import_that_*",
        "test_run_crashes::test_backoff_goes_on_until_it_works",
        "test_run_crashes::test_the_termination_log_is_never_created",
        "test_run_healthcheck",
        "test_run_idle",
        "test_run_limits::test_a_limit_that_no_worker_can_keep_does_not_hold",
        "test_run_limits::test_a_worker_that_takes_too_much_is_replaced_and_what_is_shared_is_shared",
        "test_run_limits::test_auto_is_worked_out_anew_with_each_reload",
        "test_run_inherited",
        "test_run_listen",
        "test_run_siege",
        "test_run_signals::test_signals_in_a_burst_are_no_problem",
        "test_run_signals::test_term_in_the_first_milliseconds_stops",
        "test_run_signals::test_ttin_and_ttou_change_the_number_of_workers",
        "test_run_stop::test_term_before_the_first_import_is_honoured",
        "test_run_superior",
        "test_run_top",
        "test_run_workers::test_a_killed_pid_1_leaves_nothing",
        "test_process_launcher_ends::test_a_term_during_the_delay_is_honoured_at_once",
        "test_process_launcher_reload::test_after_a_refused_reload_a_dead_worker_is_still_replaced",
        "test_process_launcher::test_an_address_that_cannot_be_had_is_told_and_its_service_forgotten",
        "test_process_launcher_ends::test_another_services_worker_is_replaced_during_the_delay",
        "test_process_launcher::test_children_by_pid_and_a_wrapper_a_service",
        "test_process_launcher::test_int_is_a_graceful_stop",
        "test_process_launcher::test_orphans_of_workers_are_reaped_by_pid_1",
        "test_process_launcher_ends::test_too_many_forks_delay_the_next_one",
        "test_process_launcher::test_two_services_of_one_class_are_two",
    ),
    "no worker gets as far as its backend": (
        "test_readme",
        "test_run_bad_input",
        "test_run_commands",
        "test_run_names",
        "test_process_launcher::test_what_makes_no_sense_is_refused",
        "test_service_launcher::test_an_unknown_restart_method_is_refused",
        "test_service_launcher::test_numbers_of_workers_that_make_no_sense_are_refused",
        "test_service_launcher::test_one_worker_is_this_process_and_more_are_forked",
    ),
    "what surrounds the launcher is the same for both": (
        "test_run_environment",
        "test_run_foreign_user",
    ),
    "the mold does it, before any worker or beside them": (
        "test_run_hooks::*",
        "test_run_reload::test_a_broken_reload_is_refused",
        "test_run_reload::test_a_mold_lost_after_the_configuration_has_changed_says_so",
        "test_run_reload::test_a_reload_after_a_refused_one_works",
        "test_run_reload::test_a_service_that_a_reload_brings_and_that_fails_is_not_added",
    ),
    "it moves between the two": (
        "test_process_launcher_reload::test_a_reload_cannot_move_a_process_to_another_backend",
        "test_run_threads::test_a_reload_moves_from_one_backend_to_the_other_without_a_failed_request",
    ),
    "it is about eventlet: its hub, its patching, one thread that a request or a lock can hold up": (
        "test_backend_modules::test_on_eventlet_all_is_patched_before_the_application_and_never_in_pid_1",
        "test_process_launcher_children::test_a_worker_has_one_end_of_each_pipe_and_none_of_the_signal_pipe",
        "test_process_launcher_ends::test_a_worker_that_hangs_is_replaced_and_says_where",
        "test_process_launcher_children::test_the_hub_of_the_parent_goes_on_there_and_not_in_a_child",
        "test_run_liveness",
        "test_run_remold",
        "test_run_start",
        "test_run_stop::test_a_worker_that_blocks_abrt_too_is_killed",
        "test_service_launcher::test_a_service_may_stop_its_launcher",
    ),
    "it is about threads; its like for eventlet is another test": (
        "test_backend_modules::test_on_threads_nothing_of_eventlet_is_there_and_nothing_is_patched",
        "test_run_stop::test_a_term_that_the_main_thread_blocks_reaches_it_through_another",
        "test_run_threads",
    ),
    "the main thread does it, in code that both share": (
        "test_process_launcher_reload::test_a_reset_that_exits_refuses_the_reload_and_ends_nobody",
        "test_process_launcher_ends::test_a_service_that_closes_what_it_did_not_open_is_told_so",
        "test_process_launcher_children::test_numpy_is_seeded_anew_if_it_is_loaded",
        "test_process_launcher::test_the_backdoor_has_its_place_before_start",
        "test_service_launcher_reload::test_a_configuration_that_cannot_be_read_changes_nothing",
        "test_service_launcher_reload::test_an_impossible_timeout_in_a_reload_does_not_prevent_the_stop",
        "test_service_launcher::test_the_backdoor_has_its_place_before_start",
    ),
    "twenty reloads and twenty kills take long; CASES has each of them on both": ("test_run_storm",),
    "its module says which part a backend has in it": (
        "test_oslo_*",
        "test_readme_timers",
        "test_run_backdoor",
        "test_run_identity",
        "test_run_on_signal",
        "test_run_tls",
    ),
    "it brings a backend of its own": ("test_third_backend",),
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
