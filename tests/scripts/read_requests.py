"""Reads rows of requests with h11: JSON strings come in, whose characters are bytes, and what each has in it
goes out."""

import json
import sys

import h11


def text(data):
    return bytes(data).decode("latin-1")


def pairs(headers):
    return [[text(name).lower(), text(value)] for name, value in headers]


def read(row):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(row.encode("latin-1"))
    connection.receive_data(b"")
    requests, message = [], None
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            # What ends amid a message is cut, and all else is bad.
            cut = "closed" in str(error) or "incomplete" in str(error)
            return requests, "cut" if cut else f"bad: {error}"
        if isinstance(event, h11.Request):
            message = {
                "method": text(event.method),
                "target": text(event.target),
                "headers": pairs(event.headers),
                "body": "",
                "trailers": [],
            }
        elif isinstance(event, h11.Data):
            message["body"] += text(event.data)
        elif isinstance(event, h11.EndOfMessage):
            message["trailers"] = pairs(event.headers)
            requests.append(message)
            if message["target"] == "/switch":
                upgrade = [("connection", "upgrade"), ("upgrade", "websocket")]
                connection.send(h11.InformationalResponse(status_code=101, headers=upgrade))
                return requests, "tunnel: " + text(connection.trailing_data[0])
            connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return requests, f"bad: {connection.states}"
            connection.start_next_cycle()
        elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
            return requests, ""
        elif event is h11.NEED_DATA:
            return requests, "cut"


def main():
    rows = []
    for row in json.load(sys.stdin):
        requests, rest = read(row)
        rows.append({"requests": requests, "rest": rest})
    json.dump(rows, sys.stdout)


main()
