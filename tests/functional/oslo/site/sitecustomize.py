"""On PYTHONPATH: every Python, those that the tests of the wheel start too, has ours for `oslo_service`."""

from tests.functional.oslo.wheel import install

install()
