"""What an application subclasses and calls.

Written against the backend protocol of `launcher.worker.backends` only, so that a service does not
know which concurrency library it runs on.
"""
