"""What is put off so that a start is quick, and that nobody notices."""

from __future__ import annotations


def test_a_deferred_module_is_imported_when_it_is_asked_for_something(python):
    printed = python("""
        import sys
        from launcher.worker.deferred import deferred
        with deferred("netaddr", "json"):
            import netaddr as stand_in, json
        print("netaddr" in sys.modules, stand_in.core.INET_PTON, "netaddr" in sys.modules)
        import netaddr
        print(netaddr is stand_in, netaddr.IPAddress is stand_in.IPAddress, json.dumps is sys.modules["json"].dumps)
    """)
    assert printed == "False 1 True\nFalse True True\n"


def test_options_of_oslo_config_find_what_was_deferred(python):
    printed = python("""
        import sys
        from launcher.worker.deferred import deferred
        with deferred("netaddr", "rfc3986", "stevedore"):
            from launcher import config
        from oslo_config import types
        print(sorted({"netaddr", "rfc3986", "stevedore"} & set(sys.modules)))
        print(types.IPAddress()("192.0.2.1"), types.URI()("http://here/"))
    """)
    assert printed == "[]\n192.0.2.1 http://here/\n"


RESOLVE = """
    import sys
    from launcher.worker import backends
    backends.select("eventlet").patch()
    import eventlet, socket
    print("eventlet.support.greendns" in sys.modules, "dns" in sys.modules)
    {ask}
    greendns = sys.modules["eventlet.support.greendns"]
    print(greendns.getaddrinfo("localhost", 80) == socket.getaddrinfo("localhost", 80))
"""


def test_the_resolver_is_imported_for_the_first_who_asks(python):
    ask = "print(socket.gethostbyname('localhost'))"
    assert python(RESOLVE.format(ask=ask)) == "False False\n127.0.0.1\nTrue\n"


def test_the_resolver_can_be_had_at_once(python):
    assert python(RESOLVE.format(ask="backends.current().complete()")) == "False False\nTrue\n"
