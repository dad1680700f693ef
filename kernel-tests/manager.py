"""A service manager's part for one daemon, as sd_notify(3) and sd_listen_fds(3) describe it: it takes descriptors by
name and hands them to the next start. systemd itself cannot run in a test."""

import contextlib
import fcntl
import os
import select
import shlex
import signal
import socket
import subprocess
import threading

import lib

HIGH = 600  # above every number the daemon is handed


class Store:
    """Listens on a socket; `descriptors` are (name, number) in the order in which they came."""

    def __init__(self, path):
        self.path, self.descriptors, self.states = path, [], []
        self.lock = threading.Lock()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.socket.bind(path)
        self.socket.setblocking(False)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            select.select([self.socket], [], [])
            with self.lock:
                self.take_messages()

    def take_messages(self):
        """All that came: as systemd does before it looks who died."""
        with contextlib.suppress(BlockingIOError):
            while True:
                message, numbers, _, _ = socket.recv_fds(self.socket, 4096, 8)
                self.handle(dict(line.split("=", 1) for line in message.decode().splitlines()), numbers)

    def handle(self, fields, numbers):
        if "FDSTORE" in fields:
            for number in numbers:
                self.descriptors.append((fields["FDNAME"], fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, HIGH)))
        elif "FDSTOREREMOVE" in fields:
            self.forget(lambda name: name == fields["FDNAME"])
        else:
            self.states.append(fields)
        for number in numbers:
            os.close(number)

    def forget(self, chosen):
        for name, number in self.descriptors:
            if chosen(name):
                os.close(number)
        self.descriptors = [(name, number) for name, number in self.descriptors if not chosen(name)]

    def clear(self, chosen=lambda name: True):
        """As if it had lost them."""
        with self.lock:
            self.forget(chosen)

    def replace(self, name, number):
        """Something else under that name."""
        with self.lock:
            self.descriptors = [(known, os.dup2(number, old, False) if known == name else old) for known, old in self.descriptors]

    def names(self):
        with self.lock:
            return sorted(name for name, _ in self.descriptors)

    def times_ready(self):
        with self.lock:
            return sum("READY" in fields for fields in self.states)


class Daemon(lib.Daemon):
    """One whose descriptors a Store keeps."""

    def __init__(self, name="daemon", *arguments, config=None):
        super().__init__(name, *arguments, config=config)
        self.store = Store(lib.work(f"{name}.notify"))

    def launch(self, log):
        with self.store.lock:
            self.store.take_messages()
            kept = list(self.store.descriptors)
            # One at a time: what bash saves of several lies at 10 and above.
            moves = "; ".join(f"exec {3 + place}<&{number}; exec {number}<&-" for place, (_, number) in enumerate(kept))
            names = ":".join(name for name, _ in kept)
            words = shlex.join(self.command())
            script = f"{moves or ':'}; export LISTEN_PID=$$ LISTEN_FDS={len(kept)} LISTEN_FDNAMES={names}; exec {words}"
            return subprocess.Popen(["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    pass_fds=[number for _, number in kept], env={**os.environ, "NOTIFY_SOCKET": self.store.path})

    def start_again(self):
        """And wait until its worker answers requests."""
        ready = self.store.times_ready()
        self.__enter__()
        lib.wait_until("the next start is ready", lambda: self.store.times_ready() > ready)

    def kill(self):
        """The mounts stay, and go on."""
        mounts = self.mounts
        super().kill()
        self.mounts = mounts

    def kill_keeper(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Supervised(Daemon):
    """A keeper that ends is started again at once."""

    def __enter__(self):
        self.starts, self.is_over = 1, False
        super().__enter__()
        self.watcher = threading.Thread(target=self.watch)
        self.watcher.start()
        return self

    def watch(self):
        while True:
            self.process.wait()
            if self.is_over:
                return
            with open(self.log_path, "ab") as log:
                self.process = self.launch(log)
            self.starts += 1

    def upgrade(self):
        self.process.send_signal(signal.SIGHUP)

    def worker(self):
        """None also while no keeper lives."""
        with contextlib.suppress(FileNotFoundError):
            return super().worker()
        return None

    def stop(self):
        self.is_over = True
        super().stop()
        self.watcher.join()
