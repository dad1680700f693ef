"""The daemon's control socket, spoken from here: thousands of commands without a process for each."""

import contextlib
import json
import socket
import time

import lib


class Refused(Exception):
    """The daemon answered with an error."""


class Lost(Exception):
    """The connection ended without an answer: the worker died."""


def send(connection, line, bootstrap):
    """With the bootstrap's descriptor, as the command does: the worker may not enter every folder."""
    if bootstrap is None:
        connection.sendall(line)
        return
    with open(bootstrap, "rb") as file:
        socket.send_fds(connection, [line], [file.fileno()])


def ask(daemon, command, deadline, **fields):
    """One command; its result, or Refused, or Lost. No answer within `deadline` seconds is a failure."""
    started = time.monotonic()
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(deadline)
            connection.connect(daemon.socket)
            send(connection, json.dumps({"command": command, **fields}).encode() + b"\n", fields.get("bootstrap"))
            with connection.makefile("r", encoding="utf-8") as lines:
                for line in lines:
                    answer = json.loads(line)
                    if "error" in answer:
                        raise Refused(answer["error"]["message"])
                    if "result" in answer:
                        return answer["result"]
    except TimeoutError:
        raise lib.Failure(f"no answer to {command} {fields} in {time.monotonic() - started:.0f} s") from None
    except OSError as error:
        raise Lost(str(error)) from None
    raise Lost("no answer")


def ask_again(daemon, command, deadline, **fields):
    """The same for what may be asked twice: whatever becomes of the worker, there is an answer."""
    until = time.monotonic() + deadline
    while time.monotonic() < until:
        with contextlib.suppress(Lost):
            return ask(daemon, command, deadline, **fields)
        time.sleep(0.02)
    raise lib.Failure(f"no worker answers {command} in {deadline} s")
