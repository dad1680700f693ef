"""What the tests of merging and converting share: running the program, cases, listings."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oci_layers  # noqa: E402
import tree  # noqa: E402

MKFS = os.path.join(os.environ["BIN"], "mkfs.nydus-erofs")
WORK = os.environ["WORK"]
FIXTURES = os.environ.get("FIXTURES", os.path.join(os.path.dirname(oci_layers.TOP), "shared", "fixtures"))
NYDUS_IMAGE = os.environ.get("NYDUS_IMAGE")
TIMEOUT = 300
failed = 0


class Failure(Exception):
    """A case failed for a reason that needs no trace."""


@contextlib.contextmanager
def case(name):
    global failed
    try:
        yield
    except Failure as error:
        failed += 1
        print(f"not ok {name}: {error}", flush=True)
    except Exception as error:
        failed += 1
        traceback.print_exc(file=sys.stdout)
        print(f"not ok {name}: {type(error).__name__}: {error}", flush=True)
    else:
        print(f"ok {name}", flush=True)


def finish():
    sys.exit(1 if failed else 0)


def expect(condition, why):
    if not condition:
        raise Failure(why)


def run(*words, status=0, **options):
    """Runs a command that must end with `status`; returns the completed process, output as text."""
    done = subprocess.run([str(word) for word in words], capture_output=True, timeout=TIMEOUT, check=False, text=True,
                          errors="backslashreplace", stdin=subprocess.DEVNULL, **options)
    if done.returncode != status:
        raise Failure(f"exit status {done.returncode}, not {status}, from {' '.join(map(str, words))}: "
                      f"{(done.stderr + done.stdout).strip()[-800:]}")
    return done


def mkfs(*words, **options):
    return run(MKFS, *words, **options)


def folder(*names):
    path = os.path.join(WORK, *names)
    os.makedirs(path, exist_ok=True)
    return path


def write(path, data):
    with open(path, "wb") as out:
        out.write(data)
    return path


def read(path):
    with open(path, "rb") as source:
        return source.read()


def records(bootstrap, *options):
    """The listing of an image."""
    found = {}
    for line in mkfs("dump", *options, bootstrap).stdout.splitlines():
        entry = json.loads(line)
        found[entry["path"]] = entry
    return found


def chunks_of(listing):
    return [chunk for entry in listing.values() for chunk in entry.get("chunks", [])]


def expect_listing(what, found, wanted, ignore=()):
    """The mode of a symbolic link means nothing: builders store what their source happened to say. Which name stands
    for a group of hard links is a matter of order."""
    def plain(listing):
        groups = {}
        for path in sorted(listing):
            if "same" in listing[path]:
                groups.setdefault(listing[path]["same"], path)
        return {path: {key: groups[value] if key == "same" else value for key, value in entry.items()
                       if (entry["type"], key) != ("lnk", "mode")} for path, entry in listing.items()}
    differences = tree.differences(plain(found), plain(wanted), ignore)
    expect(not differences, f"{what}: {len(differences)} differences: {'; '.join(differences[:6])}")


def expect_lowest_chunks(merged, layers):
    """Equal chunks all are the one of the lowest layer that has them. `layers`: listings, lowest first."""
    lowest = {}
    for listing in layers:
        for chunk in chunks_of(listing):
            lowest.setdefault((chunk["digest"], chunk["size"]), (chunk["blob"], chunk["index"]))
    for chunk in chunks_of(merged):
        place = lowest[(chunk["digest"], chunk["size"])]
        expect((chunk["blob"], chunk["index"]) == place, f"chunk {chunk} is not at {place}, its lowest place")


def judge(bootstrap):
    """nydus-image accepts it, where there is one."""
    if NYDUS_IMAGE:
        run(NYDUS_IMAGE, "check", bootstrap)


def pack(tar, blobs, *options):
    """A layer as container tools have it built; returns the blob's path, named by its SHA-256."""
    blob = os.path.join(blobs, ".new")
    mkfs("create", "--type", "tar-rafs", "--blob-inline-meta", "--features", "blob-toc", "--whiteout-spec", "none",
         "--blob", blob, *options, tar)
    path = os.path.join(blobs, hashlib.sha256(read(blob)).hexdigest())
    os.rename(blob, path)
    return path
