"""Tests of the wheel that are about its insides, each with the reason why it means nothing here.

A name, without `oslo_service.tests.`, may be that of a test, of a class or of a module; the longest that fits counts.
"""

from __future__ import annotations

MOCKS_THE_LAUNCHER = "mocks private methods of oslo.service's ProcessLauncher, or the pipe in it"
FRAMES = "looks whether SignalHandler compares stack frames, to interrupt the hub; ours is woken by a descriptor"
COTYLEDON = "needs cotyledon and multiprocessing in oslo.service's module, to mock them"
HANDLERS = "mocks private methods of its no_fork launcher, or wants a handler called inside os.kill(); ours is a task"
FORKED = "wants workers that are spawned; ours are forked"
SKIPPED = "skips itself where eventlet is imported, as its own package does; test_oslo_periodic_task has its like"
WITHOUT_POLLING = "mocks the pool, or the look every 0.1 s whether its results are there; ours is told of each"

WITHOUT_POOL = "looks into the pool, or mocks how eventlet.wsgi is called; what is meant is in test_wsgi_server"

SERVER = "test_wsgi.TestWSGIServer"
PARALLEL = "test_periodic.ManagerTestCase"
FORK = "functional.test_fork_safety_regression.TestForkSafetyRegression"

LAUNCHER = "test_service.ProcessLauncherTest"
SPAWN = "test_spawn_context_integration.TestSpawnContextIntegration"
MOCKING = ("check_service_base", "check_service_base_fails", "double_sighup", "parent_process_reload_config", "stop")

NOT_RUN: dict[str, str] = {
    "backend.threading.test_launcher": COTYLEDON,
    "backend.threading.test_signal_handler": HANDLERS,
    f"{FORK}.test_service_launcher_spawn_does_not_deadlock_with_active_thread": FORKED,
    f"{PARALLEL}.test_collect_async_task_results_drains_ready_out_of_submit_order": WITHOUT_POLLING,
    f"{PARALLEL}.test_run_periodic_tasks_in_parallel_no_deadlock_when_thread_holds_lock": SKIPPED,
    f"{PARALLEL}.test_run_periodic_tasks_in_parallel_uses_get_spawn_pool": WITHOUT_POLLING,
    **dict.fromkeys((f"{LAUNCHER}.test_{name}" for name in MOCKING), MOCKS_THE_LAUNCHER),
    f"{LAUNCHER}.test_setup_signal_interruption_no_select_poll": FRAMES,
    f"{LAUNCHER}.test_setup_signal_interruption_select_poll": FRAMES,
    f"{SPAWN}.test_processlauncher_uses_spawn_context_when_requested": FORKED,
    f"{SPAWN}.test_servicelauncher_uses_spawn_context_when_requested": FORKED,
    f"{SERVER}.test_client_socket_timeout": WITHOUT_POOL,
    f"{SERVER}.test_reset_pool_size_to_default": WITHOUT_POOL,
    f"{SERVER}.test_server_pool_waitall": WITHOUT_POOL,
    f"{SERVER}.test_wsgi_keep_alive": WITHOUT_POOL,
}


def reason(name: str) -> str:
    """Return why a test need not pass; "" if it must."""
    parts = name.split(".")
    names = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((NOT_RUN[each] for each in names if each in NOT_RUN), "")
