"""fscached in nydusd's place, as a snapshotter sees it: a process with a socket that speaks HTTP."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time

import lib


class Api(http.client.HTTPConnection):
    """HTTP over a Unix socket, by Python's own client."""

    def __init__(self, path):
        super().__init__("nydusd", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def registry_config(host, repository, cache, **more):
    """The settings nydus-snapshotter 0.13.4 writes for an image."""
    return {"device": {"backend": {"type": "registry", "config": {"host": host, "repo": repository, "timeout": 5,
                                                                 "connect_timeout": 5, "retry_limit": 2, **more}},
                       "cache": {"type": "blobcache", "config": {"work_dir": cache}}},
            "mode": "direct", "digest_validate": False, "iostats_files": False, "enable_xattr": True,
            "fs_prefetch": {"enable": False, "prefetch_all": False}}


def localfs_config(blobs, cache):
    config = registry_config("", "", cache)
    config["device"]["backend"] = {"type": "localfs", "config": {"dir": blobs}}
    return config


class Nydusd:
    """`fscached` called as nydusd, with the arguments of nydus-snapshotter. Use as a context manager."""

    def __init__(self, name="nydusd", *arguments):
        self.folder = lib.fresh_dir(name)
        self.program = os.path.join(self.folder, "nydusd")
        os.symlink(lib.FSCACHED, self.program)
        self.mountpoint, self.cache = os.path.join(self.folder, "mnt"), os.path.join(self.folder, "cache")
        self.socket = os.path.join(self.folder, "socket", "api.sock")
        self.log = os.path.join(self.folder, "logs", "nydusd.log")
        os.mkdir(self.cache)
        self.arguments = list(arguments)
        self.process = None

    def command(self):
        return [self.program, "fuse", "--mountpoint", self.mountpoint, *self.arguments, "--log-level", "info", "--apisock",
                self.socket, "--log-rotation-size", "100", "--log-file", self.log, "--failover-policy", "resend"]

    def start(self, command=None):
        self.process = subprocess.Popen(command or self.command(), stdin=subprocess.DEVNULL)
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        self.stop()
        self.end_daemons()
        if kind is not None and os.path.exists(self.log):
            with open(self.log, encoding="utf-8", errors="replace") as lines:
                print("# log of nydusd: " + lines.read()[-3000:].replace("\n", "\n#   "), flush=True)

    def stop(self, number=signal.SIGTERM):
        """Its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)

    def keepers(self):
        """Process numbers of the daemons it started: they outlive it when it is killed."""
        found = []
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError, ValueError), open(f"/proc/{int(entry)}/cmdline", "rb") as words:
                parts = words.read().split(b"\0")
                if parts[1:2] == [b"serve"] and os.fsencode(self.cache) + b"/fscached" in parts:
                    found.append(int(entry))
        return found

    def end_daemons(self):
        for pid in self.keepers():
            os.kill(pid, signal.SIGTERM)
        lib.wait_until("the daemon ended", lambda: not self.keepers())

    def ask(self, method, path, body=None, wanted=(200, 204)):
        """The answer's JSON, or None; another status than wanted is a failure."""
        connection = Api(self.socket)
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        if answer.status not in wanted:
            raise lib.Failure(f"{method} {path}: {answer.status} {said.decode('utf-8', 'replace')}")
        return json.loads(said) if said else None

    def wait_state(self, state, patience=4):
        """As the snapshotter: the socket must be there within seconds, and then the state."""
        deadline = time.monotonic() + patience
        said = None
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                said = self.ask("GET", "/api/v1/daemon")
                if said["state"] == state:
                    return said
            time.sleep(0.05)
        raise lib.Failure(f"not {state} within {patience} s: {said}")

    def mount(self, name, bootstrap, config, **how):
        return self.ask("POST", f"/api/v1/mount?mountpoint=%2F{name}",
                        {"fs_type": "rafs", "source": bootstrap, "config": json.dumps(config)}, **how)

    def umount(self, name, **how):
        return self.ask("DELETE", f"/api/v1/mount?mountpoint=%2F{name}", **how)

    def path(self, name):
        return os.path.join(self.mountpoint, name)
