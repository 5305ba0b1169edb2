"""The Python client through restarts of its server, on each transport; as restarts.mjs.

The gateway is there already. Prints "round N" once all have connected for the Nth time and have had
a result.
"""

import os
import threading

import socketio

URL = os.environ["GATEWRIGHT_TEST_URL"]
ROUNDS = int(os.environ["GATEWRIGHT_TEST_ROUNDS"])
TRANSPORTS = {"websocket": ["websocket"], "polling": ["polling"], "upgraded": ["polling", "websocket"]}

lock = threading.Lock()
rounds = dict.fromkeys(TRANSPORTS, 0)
done = threading.Event()


def start(name, transports):
    client = socketio.Client(reconnection_delay=0.05, reconnection_delay_max=0.2)

    @client.on("ws:result", namespace="/restarts")
    def result(packet):
        with lock:
            if packet["result"] != rounds[name] + 1:
                return
            rounds[name] += 1
            if len(set(rounds.values())) == 1:
                print("round", rounds[name], flush=True)
            if all(count == ROUNDS for count in rounds.values()):
                done.set()

    @client.on("connect", namespace="/restarts")
    def connected():
        client.emit("ping", rounds[name] + 1, namespace="/restarts")

    client.connect(URL, transports=transports, namespaces=["/restarts"])


for each in TRANSPORTS.items():
    start(*each)
done.wait()
os._exit(0)
