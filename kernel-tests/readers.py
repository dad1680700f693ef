"""Readers as processes of their own, compared with the source: one that the kernel never lets go is seen, and can be killed."""

import errno
import mmap
import os
import random
import signal
import time

import lib

# What the kernel says where there is no data; the second one is Linux 6.12's word when its cache is gone.
NO_DATA_ERRORS = (errno.EIO, errno.ENOBUFS)
RIGHT, NO_DATA, WRONG, BROKEN = 0, 1, 2, 3  # how a reader ends


def compare(found, wanted, name, offset):
    if found == wanted:
        return
    at = next((at for at in range(min(len(found), len(wanted))) if found[at] != wanted[at]), min(len(found), len(wanted)))
    what = "an end" if at == len(found) else "zeros" if not any(found[at:at + 64]) else "other bytes"
    print(f"# {name}: {what} at {offset + at}, {len(found)} of {len(wanted)} bytes read", flush=True)
    os._exit(WRONG)


def read_part(path, source, offset, size, fresh):
    """fresh: as much as possible of what the page cache has is dropped first."""
    with open(source, "rb") as file:
        file.seek(offset)
        wanted = file.read(size)
    with open(path, "rb") as file:
        if fresh:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        found = b""
        try:
            while piece := os.pread(file.fileno(), size - len(found), offset + len(found)):
                found += piece
        except OSError:  # what came before it counts too
            compare(found, wanted[:len(found)], path, offset)
            raise
        compare(found, wanted, path, offset)


def read_mapped(path, source, _offset, _size, fresh):
    with open(source, "rb") as file:
        wanted = file.read()
    with open(path, "rb") as file:
        if fresh:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if wanted:
            with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as area:
                compare(area[:], wanted, path, 0)


def start(read, *arguments):
    """The process that does it."""
    child = os.fork()
    if child:
        return child
    try:
        read(*arguments)
        os._exit(RIGHT)
    except OSError as error:
        if error.errno in NO_DATA_ERRORS:
            os._exit(NO_DATA)
        print(f"# {arguments[0]}: {error}", flush=True)
        os._exit(BROKEN)
    finally:
        os._exit(BROKEN)


def where_it_waits(child):
    try:
        with open(f"/proc/{child}/stack", encoding="ascii") as stack:
            return " ".join(line.split()[-1] for line in stack)
    except OSError as error:
        return str(error)


def finish(children, deadline):
    """How each ended, once all have; a mapped reader without data is ended by SIGBUS."""
    until, ends, step = time.monotonic() + deadline, {}, 0.001
    while len(ends) < len(children):
        for child in set(children) - set(ends):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
                ends[child] = NO_DATA if code == -signal.SIGBUS else BROKEN if code < 0 else code
        if len(ends) < len(children) and time.monotonic() > until:
            waiting = set(children) - set(ends)
            where = "; ".join(where_it_waits(child) for child in waiting)
            for child in waiting:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            raise lib.Failure(f"{len(waiting)} of {len(children)} readers wait after {deadline} s: {where}")
        time.sleep(step)
        step = min(step * 1.5, 0.05)
    return list(ends.values())


def random_part(chooser, source):
    size = os.path.getsize(source)
    offset = chooser.randrange(size + 1)
    return offset, chooser.randrange(1, 200 << 10)


def random_reader(chooser, path, source, mapped=0.2):
    """Starts one that reads all or a part, by read or by memory."""
    whole = (0, os.path.getsize(source) + 1)
    offset, size = whole if chooser.random() < 0.4 else random_part(chooser, source)
    read = read_mapped if chooser.random() < mapped else read_part
    return start(read, path, source, offset, size, chooser.random() < 0.5)


def make_files(folder, seed, count, most):
    """Files of every size up to `most`, whose bytes are nowhere zero for long."""
    chooser = random.Random(seed)
    for number in range(count):
        with open(os.path.join(folder, f"f{number:02}"), "wb") as out:
            out.write(chooser.randbytes(chooser.choice((0, 1, 4095, 4096, 4097, chooser.randrange(most), chooser.randrange(most), most))))
