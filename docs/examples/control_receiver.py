import sys

from katcp import BlockingClient, Message

host, port = sys.argv[1].rsplit(":", 1)
client = BlockingClient(host, int(port))
client.setDaemon(True)
client.start()
if not client.wait_protocol(timeout=5):
    sys.exit("no device")

reply, informs = client.blocking_request(Message.request("gain", 31.5))
print(reply.arguments)

reply, informs = client.blocking_request(Message.request("tune", 1420), timeout=2)
print([inform.arguments for inform in informs], reply.arguments)

reply, informs = client.blocking_request(Message.request("gain", "loud"))
print(reply.reply_ok(), reply.arguments[1].decode())

client.stop()
client.join()
