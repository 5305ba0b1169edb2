"""What stock clients do, done by the Python client: on each transport, with data that is not ASCII,
acks, binary, several namespaces, refusals and a reconnection."""

import json
import os
import socket
import threading
import urllib.request

import socketio

URL = os.environ["GATEWRIGHT_TEST_URL"]
PATIENCE = 60
TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]]
token = None
refused = []


def admin(method, path, body):
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


def equal(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


class Client:
    """A client, and what has come to it."""

    def __init__(self, transports, namespace, **options):
        self.namespace = namespace
        self.seen = []
        self.news = threading.Condition()
        self.client = socketio.Client(reconnection_delay=0.05, reconnection_delay_max=0.2)
        self.client.on("*", self._note, namespace=namespace)
        for name in ("connect", "disconnect"):
            self.client.on(name, self._noting(name), namespace=namespace)
        self.client.on("connect_error", refused.append, namespace=namespace)
        self.client.connect(
            URL, transports=transports, namespaces=[namespace], wait_timeout=PATIENCE, **options
        )

    def _noting(self, name):
        return lambda *args: self._note(name, *args)

    def _note(self, name, *args):
        with self.news:
            self.seen.append((name, *args))
            self.news.notify_all()

    def until(self, name, count=1):
        """The last of so many events of this name."""
        with self.news:
            found = lambda: [event for event in self.seen if event[0] == name]
            assert self.news.wait_for(lambda: len(found()) >= count, PATIENCE), f"no {name}: {self.seen}"
            return found()[count - 1]

    def ask(self, name, data=None):
        return self.client.call(name, data, namespace=self.namespace, timeout=PATIENCE)

    def emit(self, name, data=None):
        self.client.emit(name, data, namespace=self.namespace)


def events(transports):
    client = Client(transports, "/python", auth={"who": "Zoë"})
    equal(client.until("auth")[1], {"who": "Zoë"})
    for number, value in enumerate([1, "ünï 🚀", [1, {"a": []}], {"ä": "ö"}, True], 1):
        ack = client.ask("echo", value)
        equal((ack["accepted"], ack["eventName"]), (True, "echo"))
        equal(client.until("back", number)[1], value)
    equal(client.ask("nobody")["error"]["code"], "NO_HANDLER")
    client.client.disconnect()


def binary(transports):
    client = Client(transports, "/python")
    client.emit("echo", {"first": b"\x00\x01", "deep": [b"\xff"]})
    equal(client.until("back")[1], {"first": b"\x00\x01", "deep": [b"\xff"]})
    client.emit("echo", bytes(range(256)))
    equal(client.until("back", 2)[1], bytes(range(256)))
    client.client.disconnect()


def refusals(transports):
    try:
        Client(transports, "/locked")
    except socketio.exceptions.ConnectionError:
        assert "AUTH_REQUIRED" in str(refused[-1]), refused
    else:
        raise AssertionError("/locked let it in")


def reconnection(transports):
    if "websocket" not in transports:
        return
    client = Client(transports, "/python")
    client.until("connect")
    # As when a network goes: the connection ends without a goodbye.
    client.client.eio.ws.sock.shutdown(socket.SHUT_RDWR)
    client.until("connect", 2)
    equal(client.ask("echo", "again")["accepted"], True)
    client.client.disconnect()


signed_in = {"email": os.environ["GATEWRIGHT_TEST_EMAIL"], "password": os.environ["GATEWRIGHT_TEST_PASSWORD"]}
token = admin("POST", "/auth/login", signed_in)["accessToken"]
script = '@SOCKET.reply("auth", @DATA.auth);'
gateway = admin("POST", "/admin/gateways", {"path": "/python", "requireAuth": False, "connectionScript": script})
event = {"eventName": "echo", "sourceCode": '@SOCKET.reply("back", @BODY);'}
admin("POST", f"/admin/gateways/{gateway['id']}/events", event)
admin("POST", "/admin/gateways", {"path": "/locked", "requireAuth": True})

for step in (events, binary, refusals, reconnection):
    for transports in TRANSPORTS:
        print(step.__name__, transports, flush=True)
        step(transports)
