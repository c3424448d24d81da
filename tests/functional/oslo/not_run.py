"""Tests of the wheel that are about its insides, each with the reason why it means nothing here.

A name, without `oslo_service.tests.`, may be that of a test, of a class or of a module; the longest that fits counts.
"""

from __future__ import annotations

TO_COME = "to come: launcher.oslo has no such module yet"

WITHOUT_POLLING = "mocks the pool, or the look every 0.1 s whether its results are there; ours is told of each"
SKIPPED = "skips itself where eventlet is imported, as its own package does; test_oslo_periodic_task has its like"

WITHOUT_POOL = "looks into the pool, or mocks how eventlet.wsgi is called; what is meant is in test_oslo_wsgi"

SERVER = "test_wsgi.TestWSGIServer"
PARALLEL = "test_periodic.ManagerTestCase"
FORK = "functional.test_fork_safety_regression.TestForkSafetyRegression"
HOOK = "backend.tests.test_backend_init.TestBackendHook"

NOT_RUN: dict[str, str] = {
    "backend.tests.test_backend_init.TestBackend.test_backend_components": TO_COME,
    f"{HOOK}.test_hook_sets_default_backend_when_not_explicitly_initialized": TO_COME,
    "backend.threading.test_launcher": TO_COME,
    "backend.threading.test_signal_handler": TO_COME,
    f"{FORK}.test_service_launcher_spawn_does_not_deadlock_with_active_thread": TO_COME,
    f"{PARALLEL}.test_collect_async_task_results_drains_ready_out_of_submit_order": WITHOUT_POLLING,
    f"{PARALLEL}.test_run_periodic_tasks_in_parallel_no_deadlock_when_thread_holds_lock": SKIPPED,
    f"{PARALLEL}.test_run_periodic_tasks_in_parallel_uses_get_spawn_pool": WITHOUT_POLLING,
    "test_service": TO_COME,
    "test_spawn_context_integration": TO_COME,
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
