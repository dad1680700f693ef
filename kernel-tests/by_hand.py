"""What an operator does without the daemon: typing the line that `fscached add` printed, and umount(8)."""

import contextlib
import os
import re
import shlex
import subprocess

import kernel
import lib

PLACE = "MOUNTPOINT"


def mount_tries_files():
    """mount(8) before util-linux 2.41 puts a loop device beneath a file."""
    version = re.search(r"util-linux (\d+)\.(\d+)", lib.run(["mount", "--version"]).stdout.decode())
    return (int(version.group(1)), int(version.group(2))) >= (2, 41)


def mount(line, where):
    """Mounts as the line says; where mount(8) is too old for it, by the kernel's own calls with the same paths."""
    os.makedirs(where, exist_ok=True)
    words = [where if word == PLACE else word for word in shlex.split(line)]
    if where not in words:
        raise lib.Failure(f"no {PLACE} in the line: {line}")
    if lib.MECHANISM == "cachefiles" or mount_tries_files():
        lib.run(words)
        return where
    options = words[words.index("-o") + 1].split(",")
    devices = [option.removeprefix("device=") for option in options if option.startswith("device=")]
    descriptor = kernel.erofs_mount_object(words[-2], devices)
    try:
        kernel.move_mount(descriptor, where)
    finally:
        os.close(descriptor)
    return where


def umount(where):
    lib.run(["umount", where])


@contextlib.contextmanager
def mounted(line, where):
    mount(line, where)
    try:
        yield where
    finally:
        subprocess.run(["umount", where], check=False)


def add(daemon, image, **names):
    """`fscached add`; the line it prints. names: fsid, domain_id."""
    words = [word for name, value in names.items() for word in (f"--{name.replace('_', '-')}", value)]
    return daemon.call("add", *words, *image).stdout.decode().strip()


def is_mounted(where):
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        return any(line.split()[1] == where for line in mounts)
