"""The on-demand protocol of /dev/cachefiles, spoken as plainly as possible: what the kernel asks, message by message.

Nothing of fscached is used here, so a test can tell the kernel's behaviour from the daemon's.
    Device   bind, commands, messages; the numbers are the kernel's
    Server   a thread that answers from a table of blobs; a test changes its answers while it runs"""

import contextlib
import fcntl
import mmap
import os
import select
import signal
import struct
import subprocess
import threading

PATH = "/dev/cachefiles"
OPEN, CLOSE, READ = 0, 1, 2
IOC_READ_COMPLETE = 0x40049801
MESSAGE_SIZE = 1024
PAGE = 4096


class Message:
    """One request. number: to be named in the answer; object: the incarnation of the object's descriptor."""

    def __init__(self, raw):
        self.raw = raw
        self.number, self.kind, self.length, self.object = struct.unpack_from("<IIII", raw)
        if self.kind == OPEN:
            volume_size, cookie_size, self.fd, self.flags = struct.unpack_from("<IIII", raw, 16)
            self.volume = raw[32:32 + volume_size - 1].decode()
            self.cookie = raw[32 + volume_size:32 + volume_size + cookie_size].decode()
        elif self.kind == READ:
            self.offset, self.size = struct.unpack_from("<QQ", raw, 16)

    def __repr__(self):
        if self.kind == OPEN:
            return f"OPEN #{self.number} object {self.object} {self.volume} {self.cookie}"
        if self.kind == READ:
            return f"READ #{self.number} object {self.object} {self.offset}+{self.size}"
        return f"CLOSE #{self.number} object {self.object}"


class Device:
    def __init__(self):
        self.fd = os.open(PATH, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)

    def command(self, text):
        os.write(self.fd, text.encode())

    def bind(self, folder):
        # In an order in which each limit stays between its neighbours.
        for text in ("bstop 0%", "bcull 1%", "brun 2%", "fstop 0%", "fcull 1%", "frun 2%", f"dir {folder}", "tag test", "bind ondemand"):
            self.command(text)
        return self

    def message(self, patience=0.0):
        """The next request, or None."""
        raw = os.read(self.fd, MESSAGE_SIZE)
        if not raw and patience and self.readable(patience):
            raw = os.read(self.fd, MESSAGE_SIZE)
        return Message(raw) if raw else None

    def readable(self, patience=0.0):
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        return bool(poll.poll(patience * 1000))

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


def complete(descriptor, number):
    fcntl.ioctl(descriptor, IOC_READ_COMPLETE, number)


def aligned(data, alignment=PAGE):
    """A copy of the data where direct I/O takes it."""
    area = mmap.mmap(-1, len(data) + PAGE)
    area[PAGE - alignment:PAGE - alignment + len(data)] = data
    return memoryview(area)[PAGE - alignment:PAGE - alignment + len(data)]


def fill(descriptor, data, offset):
    """Writes whole pages at a page's border, as the kernel wants them."""
    padded = bytes(data) + bytes(-len(data) % PAGE)
    return os.pwrite(descriptor, aligned(padded), offset)


class Server(threading.Thread):
    """Answers from `blobs`, by cookie. `refused`: cookies whose OPEN is answered with an error; `empty`: cookies whose
    reads are completed without data; `held`: cookies whose reads are only collected, in `waiting`."""

    def __init__(self, device, blobs):
        super().__init__(daemon=True)
        self.device, self.blobs = device, blobs
        self.refused, self.empty, self.held = {}, set(), set()
        self.seen, self.waiting, self.objects, self.problems = [], [], {}, []
        self.ended = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        for descriptor, _ in self.objects.values():
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def stop(self):
        self.ended.set()
        self.join()

    def run(self):
        while not self.ended.is_set():
            self.device.readable(0.02)
            while True:
                try:
                    message = self.device.message()
                    if message is None:
                        break
                    self.seen.append(message)
                    self.answer(message)
                except OSError as error:
                    self.problems.append(f"{self.seen[-1:]}: {error}")
                    break

    def answer(self, message):
        if message.kind == OPEN:
            self.answer_open(message)
        elif message.kind == CLOSE:
            os.close(self.objects.pop(message.object)[0])
        elif self.objects[message.object][1] in self.held:
            self.waiting.append(message)
        else:
            self.answer_read(message)

    def answer_open(self, message):
        fcntl.fcntl(message.fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        error = self.refused.get(message.cookie, 0 if message.cookie in self.blobs else 2)
        if error:
            self.device.command(f"copen {message.number},{-error}")
            os.close(message.fd)
            return
        self.objects[message.object] = (message.fd, message.cookie)
        self.device.command(f"copen {message.number},{len(self.blobs[message.cookie])}")

    def answer_read(self, message):
        descriptor, cookie = self.objects[message.object]
        if cookie not in self.empty:
            fill(descriptor, self.blobs[cookie][message.offset:message.offset + message.size], message.offset)
        complete(descriptor, message.number)

    def reads(self, cookie=None):
        """What was asked so far, of one cookie or of all."""
        opened = {message.object: message.cookie for message in self.seen if message.kind == OPEN}
        return [message for message in self.seen if message.kind == READ and cookie in (None, opened[message.object])]

    def opens(self, cookie=None):
        return [message for message in self.seen if message.kind == OPEN and cookie in (None, message.cookie)]


@contextlib.contextmanager
def served_apart(device, blobs, held=()):
    """The same in a process of its own: not every call of Python lets our other threads run while the kernel waits for them."""
    child = os.fork()
    if child == 0:
        server = Server(device, blobs)
        server.held.update(held)
        server.run()
        os._exit(0)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def mount(where, fsid, *devices, domain=None):
    """mount(8) as an operator types it; the completed process."""
    os.makedirs(where, exist_ok=True)
    options = [f"fsid={fsid}"] + ([f"domain_id={domain}"] if domain else []) + [f"device={name}" for name in devices]
    return subprocess.run(["mount", "-t", "erofs", "none", "-o", ",".join(options), where], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)
