#!/usr/bin/python3
"""Stands for MSight's image viewer: it takes seconds to start, and registers on Redis as MSight's nodes do."""

import json
import os
import socket
import sys
import time

# As long as MSight's imports take.
time.sleep(2)
name, topic = (sys.argv[sys.argv.index(flag) + 1] for flag in ("-n", "-st"))
variable = "MSIGHT_REDIS_MESSAGE_BROKER_"
redis = (os.environ[variable + "HOST"], int(os.environ[variable + "PORT"]))


def connect():
    connection = socket.create_connection(redis)
    return connection, connection.makefile("rb")


def send(connection, *words):
    words = [word.encode() for word in words]
    parts = [b"*%d\r\n" % len(words)] + [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
    connection.sendall(b"".join(parts))


def answer(file):
    """One answer in RESP 2."""
    kind, text = (line := file.readline().rstrip(b"\r\n"))[:1], line[1:]
    if kind == b"$":
        return file.read(int(text) + 2)[:-2]
    if kind == b"*":
        return [answer(file) for _ in range(int(text))]
    return text


def register(status):
    record = {
        "name": name,
        "device": os.environ["MSIGHT_EDGE_DEVICE_NAME"],
        "publish_topic": None,
        "subscribe_topic": topic,
        "type": "ImageViewerSinkNode",
        "last_heartbeat": time.time(),
        "status": status,
    }
    send(registry[0], "HSET", "MSIGHT:NODES", name, json.dumps(record))
    answer(registry[1])


registry = connect()
register("REGISTERED")
# What a node does between its constructor and its loop.
time.sleep(1)
register("RUNNING")
connection, file = connect()
send(connection, "SUBSCRIBE", topic)
answer(file)
register("RUNNING")
for count in range(1, sys.maxsize):
    answer(file)
    print(f"{count} messages", flush=True)
