import unittest

from receiver import Receiver

from katcp.testutils import BlockingTestClient, start_thread_with_cleanup


class TestReceiver(unittest.TestCase):
    def setUp(self):
        self.server = Receiver("127.0.0.1", 0)
        start_thread_with_cleanup(self, self.server, start_timeout=1)
        host, port = self.server.bind_address
        self.client = BlockingTestClient(self, host, port)
        start_thread_with_cleanup(self, self.client, start_timeout=1)
        self.client.wait_protocol(timeout=1)

    def test_gain(self):
        self.client.assert_request_succeeds("gain", 30, args_equal=["30.0"])
        self.client.assert_sensor_equals("rx.gain", 30.0, float)
        self.client.assert_request_fails("gain", 61)

    def test_tune(self):
        self.client.assert_request_succeeds("tune", 1420, "v", args_equal=["1420 MHz v"])
        self.client.assert_request_fails("tune", 1420, "x", error_equals="no such polarisation")
        self.client.wait_until_sensor_equals(2, "rx.mode", "tuned")


if __name__ == "__main__":
    unittest.main()
