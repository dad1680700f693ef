"""The original daemon, where NYDUSD names it, as the reader of images written here."""

import contextlib
import json
import os
import subprocess

import lib

NYDUSD = os.environ.get("NYDUSD")


@contextlib.contextmanager
def mounted(image):
    """The image mounted by nydusd, with an empty cache and every chunk compared with its digest."""
    config = {"version": 2, "backend": {"type": "localfs", "localfs": {"dir": image.blobs}},
              "cache": {"type": "filecache", "validate": True, "filecache": {"work_dir": lib.fresh_dir("nydusd-cache")}},
              "rafs": {"mode": "direct", "enable_xattr": True}}
    with open(lib.work("nydusd.json"), "w", encoding="ascii") as out:
        json.dump(config, out)
    mountpoint = lib.fresh_dir("nydusd-mnt")
    before = os.stat(mountpoint).st_dev
    command = [NYDUSD, "fuse", "--config", lib.work("nydusd.json"), "--bootstrap", image.bootstrap, "--mountpoint", mountpoint,
               "--log-level", "error", "--rlimit-nofile", "0"]
    with open(lib.work("nydusd.log"), "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        lib.wait_until("nydusd mounts", lambda: process.poll() is not None or os.stat(mountpoint).st_dev != before)
        if process.poll() is not None:
            with open(lib.work("nydusd.log"), encoding="utf-8", errors="backslashreplace") as log:
                raise lib.Failure(f"nydusd ended with status {process.returncode}: {log.read()[-1500:]}")
        yield mountpoint
    finally:
        process.terminate()
        process.wait()
        if os.path.ismount(mountpoint):
            lib.unmount(mountpoint)


def as_nydusd_shows(expected):
    """nydusd gives a root directory the permissions 0755, and what has second 0 of the epoch the time of its own start."""
    root = dict(expected["/"], mode=f"{int(expected['/']['mode'], 8) & 0o7000 | 0o755:04o}")
    return dict(expected, **{"/": root}), {(path, "mtime") for path, record in expected.items()
                                           if path == "/" or record["mtime"].startswith("0.")}
