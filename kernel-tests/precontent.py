"""The kernel's pre-content events (fanotify), spoken plainly and without fscached, as `cachefiles.py` does it for the other mechanism.

    Group     a notification group: marks, events, answers
    serve     a process that writes what belongs there and lets the reader go on: the simplest daemon one would make
    Reader    a process that reads a file; the bytes it got, or its error
    Cache     an image of which nothing is local, arranged by hand"""

import contextlib
import ctypes
import errno
import mmap
import os
import select
import signal
import struct
import subprocess
import time

import kernel
from kernel import FAN_CLASS_PRE_CONTENT, FAN_CLOEXEC, FAN_MARK_ADD, FAN_PRE_ACCESS, FAN_UNLIMITED_QUEUE, libc
import lib
import rafs

FAN_CLASS_CONTENT, FAN_NONBLOCK = 0x04, 0x02
FAN_OPEN, FAN_OPEN_PERM, FAN_ACCESS_PERM, FAN_Q_OVERFLOW = 0x20, 0x10000, 0x20000, 0x4000
FAN_EVENT_ON_CHILD, FAN_MARK_MOUNT = 0x08000000, 0x10
FAN_ALLOW, FAN_DENY = 1, 2
EVENT_BYTES, INFO_RANGE = 24, 6
PATIENCE = 60  # seconds; nothing here takes so long


class Event:
    """number: names the event in the answer, and is its descriptor; pid: who waits."""

    def __init__(self, raw):
        _, _, _, header, self.mask, self.number, self.pid = struct.unpack_from("<IBBHQii", raw)
        self.offset, self.count = 0, None
        if len(raw) > header and raw[header] == INFO_RANGE:
            self.offset, self.count = struct.unpack_from("<QQ", raw, header + 8)


class Group:
    def __init__(self, flags=FAN_UNLIMITED_QUEUE, kind=FAN_CLASS_PRE_CONTENT):
        self.fd = kernel.check_call(libc.fanotify_init(kind | FAN_CLOEXEC | FAN_NONBLOCK | flags, os.O_RDONLY), "fanotify_init")

    def mark(self, path, mask=FAN_PRE_ACCESS, flags=0):
        done = libc.fanotify_mark(self.fd, FAN_MARK_ADD | flags, ctypes.c_uint64(mask), kernel.AT_FDCWD, os.fsencode(path))
        kernel.check_call(done, f"fanotify_mark {path}")

    def events(self, patience=0.0):
        """What is queued, after waiting for the first one as long as `patience` seconds."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        if not poll.poll(patience * 1000):
            return []
        raw, found = os.read(self.fd, 64 << 10), []
        while raw:
            size, = struct.unpack_from("<I", raw)
            found.append(Event(raw[:size]))
            raw = raw[size:]
        return found

    def answer(self, event, error=0):
        os.write(self.fd, struct.pack("<iI", event.number, FAN_DENY | error << 24 if error else FAN_ALLOW))
        os.close(event.number)

    def close(self):
        """Also the descriptors of events that nobody answered."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


def serve(group, fill_fd, whole):
    """Answers every event after writing its range; returns the process. The group stays the caller's too."""
    child = os.fork()
    if child:
        return child
    try:
        while True:
            for event in group.events(PATIENCE):
                if event.count:
                    os.pwrite(fill_fd, whole[event.offset:event.offset + event.count], event.offset)
                group.answer(event)
    finally:
        os._exit(1)


@contextlib.contextmanager
def served(group, fill_fd, whole):
    child = serve(group, fill_fd, whole)
    try:
        yield
    finally:
        end(child)


def end(child):
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


# --- readers ----------------------------------------------------------------------------------------------------------

def read_plainly(path):
    with open(path, "rb") as file:
        return file.read()


def read_mapped(path):
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as area:
        return area[:]


def execute(path):
    """Runs the file; what it says."""
    return subprocess.run([path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout


class Reader:
    """Starts at once. It holds no descriptor of ours: what is closed here is closed."""

    def __init__(self, path, read=read_plainly):
        self.path, self.out, self.status = path, os.memfd_create("reader", 0), None
        self.pid = os.fork()
        if self.pid == 0:
            self.run(read)

    def run(self, read):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            os.dup2(self.out, 3)
            os.closerange(4, 1 << 12)
            os.write(3, read(self.path))
            os._exit(0)
        except OSError as error:
            os._exit(error.errno)
        finally:
            os._exit(255)

    def waits(self):
        """Whether the kernel holds it until somebody answers; also when a child of its own is held."""
        with contextlib.suppress(OSError), open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as children:
            return any(held(pid) for pid in (self.pid, *children.read().split()))
        return False

    def gone(self):
        """Whether it has ended, without waiting."""
        if self.status is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if done else None
        return self.status is not None

    def result(self):
        """The bytes, or the number of the error; a mapping without data is EIO."""
        deadline = time.monotonic() + PATIENCE
        while not self.gone():
            if time.monotonic() > deadline:
                end(self.pid)
                raise lib.Failure(f"a reader of {self.path} still waits after {PATIENCE} s")
            time.sleep(0.002)
        found = os.pread(self.out, os.fstat(self.out).st_size, 0)
        os.close(self.out)
        if self.status == 0:
            return found
        return errno.EIO if self.status == -signal.SIGBUS else self.status

    def expect_waiting(self):
        lib.wait_until(f"a reader of {self.path} is held by the kernel", self.waits)


def held(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stack", encoding="ascii") as stack:
        return "fanotify_handle_event" in stack.read()
    return False


# --- the arrangement one would make without a daemon of ours ------------------------------------------------------------

class Cache:
    """An image of which nothing is local: a sparse data file, and what belongs into it."""

    def __init__(self, name, image):
        self.folder, self.bootstrap = lib.fresh_dir(name), image.bootstrap
        laid_out, = rafs.lay_out(image.bootstrap, image.blobs, self.folder)
        with open(laid_out, "rb") as file:
            self.whole = file.read()
        self.path = os.path.join(self.folder, "data")
        self.create()

    def create(self):
        """Empty and of full size; an earlier one keeps its inode."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        with open(self.path, "wb") as file:
            file.truncate(len(self.whole))

    def open_to_fill(self):
        return os.open(self.path, os.O_RDWR | os.O_CLOEXEC)

    def mounted(self, mountpoint):
        return lib.kernel_mount(self.bootstrap, [self.path], mountpoint)


def expect_zeros(found, wanted):
    """The trap: somebody was given zeros for data. A kernel that does not do it is told, not passed over."""
    if found == wanted or isinstance(found, int):
        got = os.strerror(found) if isinstance(found, int) else "the right bytes"
        raise lib.Absent(f"this kernel does not have it: the reader got {got}")
    if found != bytes(len(wanted)):
        raise lib.Failure("neither zeros nor the right bytes")


def expect_bytes(found, wanted):
    if found != wanted:
        got = os.strerror(found) if isinstance(found, int) else "zeros" if not any(found) else "wrong bytes"
        raise lib.Failure(f"the reader got {got}")
