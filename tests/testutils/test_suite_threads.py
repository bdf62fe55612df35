# Servers, clients and loops in threads of their own that end with the test.

import concurrent.futures
import threading
import unittest

from tornado import gen

import katcp
from katcp import AsyncClient, BlockingClient, CallbackClient, Message
from katcp.ioloop_manager import IOLoopManager
from katcp.testutils import (
    AsyncDeviceTestServer,
    DeviceTestServer,
    WaitingMock,
    call_in_ioloop,
    start_thread_with_cleanup,
)


class Recorded:
    def __init__(self):
        self.calls = []

    def start(self, timeout="not given"):
        self.calls.append(("start", timeout))

    def stop(self):
        self.calls.append("stop")

    def join(self, timeout):
        self.calls.append(("join", timeout))


class TestCleanup(unittest.TestCase):
    def run_test(self, thing, **kwargs):
        class Case(unittest.TestCase):
            def runTest(self):  # noqa: N802
                start_thread_with_cleanup(self, thing, **kwargs)

        result = unittest.TestResult()
        Case().run(result)
        self.assertTrue(result.wasSuccessful())

    def test_order(self):
        thing = Recorded()
        self.run_test(thing)
        self.assertEqual(thing.calls, [("start", "not given"), "stop", ("join", 1)])
        thing = Recorded()
        self.run_test(thing, timeout=3, start_timeout=2)
        self.assertEqual(thing.calls, [("start", 2), "stop", ("join", 3)])

    def test_server_and_thread(self):
        before = threading.active_count()
        server = DeviceTestServer("127.0.0.1", 0)
        self.run_test(server, timeout=5, start_timeout=1)
        self.assertFalse(server.running())
        manager = IOLoopManager()
        manager.get_ioloop()
        self.run_test(manager, timeout=5)
        self.assertEqual(threading.active_count(), before)


class TestServerAndClients(unittest.TestCase):
    def setUp(self):
        self.server = DeviceTestServer("127.0.0.1", 0)
        start_thread_with_cleanup(self, self.server, start_timeout=1)

    def test_several_clients(self):
        clients = [BlockingClient(*self.server.bind_address) for _ in range(3)]
        for client in clients:
            start_thread_with_cleanup(self, client, start_timeout=1)
        for client in clients:
            self.assertTrue(client.wait_protocol(timeout=1))
            reply, _ = client.blocking_request(Message.request("watchdog"))
            self.assertTrue(reply.reply_ok())
        self.assertEqual(len(self.server.messages), 3)

    def test_callbacks(self):
        client = CallbackClient(*self.server.bind_address)
        start_thread_with_cleanup(self, client, start_timeout=1)
        self.assertTrue(client.wait_protocol(timeout=1))
        replied, informed = WaitingMock(), WaitingMock()
        client.callback_request(Message.request("help"), replied, informed)
        replied.assert_wait_call_count(1, timeout=5)
        self.assertEqual(informed.call_count, 18)

    def test_client_in_a_managed_loop(self):
        manager = IOLoopManager()
        loop = manager.get_ioloop()
        start_thread_with_cleanup(self, manager)
        client = AsyncClient(*self.server.bind_address)
        client.set_ioloop(loop)
        client.start(timeout=1)

        def stopped():
            client.stop()
            return client.until_stopped()

        self.addCleanup(lambda: IOLoopManagerCall(loop).wait(stopped))
        wait = IOLoopManagerCall(loop).wait
        wait(client.until_protocol)
        reply, _ = wait(lambda: client.future_request(Message.request("new-command")))
        self.assertEqual(str(reply.arguments), str([b"ok", b"param1", b"param2"]))


class IOLoopManagerCall:
    """Calls in a loop and waits for what that comes to."""

    def __init__(self, loop):
        self.loop = loop

    def wait(self, function):
        done = concurrent.futures.Future()

        @gen.coroutine
        def call():
            result = yield function()
            done.set_result(result)

        self.loop.add_callback(call)
        return done.result(timeout=5)


class TestAsyncServer(unittest.TestCase):
    def test_in_a_loop_of_its_own(self):
        server = AsyncDeviceTestServer("127.0.0.1", 0)
        start_thread_with_cleanup(self, server, start_timeout=1)
        client = BlockingClient(*server.bind_address)
        start_thread_with_cleanup(self, client, start_timeout=1)
        self.assertTrue(client.wait_protocol(timeout=1))
        replied = WaitingMock()
        client.callback_request(Message.request("slow-command", 30), replied)
        server.until_messages(1).result(timeout=5)
        reply, _ = client.blocking_request(Message.request("watchdog"))
        self.assertTrue(reply.reply_ok())
        self.assertEqual(replied.call_count, 0)
        client.blocking_request(Message.request("cancel-slow-command"))
        replied.assert_wait_call_count(1, timeout=5)
        self.assertTrue(replied.call_args[0][0].reply_ok())


class TestCallInLoop(unittest.TestCase):
    def setUp(self):
        manager = IOLoopManager()
        self.loop = manager.get_ioloop()
        start_thread_with_cleanup(self, manager)

    def test_results(self):
        result = call_in_ioloop(self.loop, lambda *args, **kwargs: (args, kwargs), 1, two=2)
        self.assertEqual(result, ((1,), {"two": 2}))
        self.assertNotEqual(
            call_in_ioloop(self.loop, threading.current_thread), threading.current_thread()
        )

    def test_errors(self):
        def fail():
            raise KeyError("wrong")

        with self.assertRaises(KeyError):
            call_in_ioloop(self.loop, fail)
        event = threading.Event()
        with self.assertRaises(concurrent.futures.TimeoutError):
            call_in_ioloop(self.loop, event.wait, 5, ioloop_timeout=0.02)
        event.set()

    def test_device_in_it(self):
        class Device(katcp.DeviceServer):
            def setup_sensors(self):
                pass

        device = Device("127.0.0.1", 0)
        device.set_ioloop(self.loop)
        device.set_concurrency_options(thread_safe=False, handler_thread=False)
        start_thread_with_cleanup(self, device, start_timeout=1)
        client = BlockingClient(*device.bind_address)
        start_thread_with_cleanup(self, client, start_timeout=1)
        self.assertTrue(client.wait_protocol(timeout=1))
        self.assertTrue(client.blocking_request(Message.request("watchdog"))[0].reply_ok())
        self.assertEqual(call_in_ioloop(self.loop, device.get_sensors), [])


if __name__ == "__main__":
    unittest.main()
