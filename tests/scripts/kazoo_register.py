"""Registers one instance the way kazoo's users do, until the standard input is closed.

Arguments: the servers, the service's znode, host, port.
Prints the znode's path when it is there.
"""

import json
import sys

from kazoo.client import KazooClient

servers, service, host, port = sys.argv[1:]
client = KazooClient(hosts=servers)
client.start()
client.ensure_path(service)
data = json.dumps([host, str(port)]).encode("utf-8")
print(client.create(service + "/instance-", data, ephemeral=True, sequence=True), flush=True)
sys.stdin.read()
client.stop()
