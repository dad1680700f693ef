#!/usr/bin/env python3
"""Compares two trees completely: kernel-tests/tree.py [--readers N] [--seed S] A B

A and B are directories or listings (one JSON object per path, as `mkfs.nydus-erofs dump` writes). Compared:
type, mode, owner, time to the nanosecond, size, number of links, groups of hard links, link targets, device
numbers, extended attributes with ACLs, and contents, read by N readers at once in different orders and ways."""

import argparse
import hashlib
import json
import mmap
import os
import random
import stat
import sys
from concurrent.futures import ThreadPoolExecutor

TYPES = {stat.S_IFREG: "reg", stat.S_IFDIR: "dir", stat.S_IFLNK: "lnk", stat.S_IFCHR: "chr", stat.S_IFBLK: "blk",
         stat.S_IFIFO: "fifo", stat.S_IFSOCK: "sock"}
PIECE = 1 << 20
IN_PIECES_LIMIT = 64 << 20  # larger files are read from front to back only


class Difference(Exception):
    pass


def escape(raw):
    """The listings' spelling of bytes: printable ASCII as it is, the backslash and all else as \\xHH."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7f and byte != 0x5c else f"\\x{byte:02x}" for byte in raw)


def time_text(nanoseconds):
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{seconds}.{rest:09d}"


def attributes(path):
    found = {}
    for name in os.listxattr(path, follow_symlinks=False):
        found[escape(os.fsencode(name))] = os.getxattr(path, name, follow_symlinks=False).hex()
    return found


def describe_entry(path, shown):
    info = os.lstat(path)
    kind = TYPES[stat.S_IFMT(info.st_mode)]
    record = {"path": shown, "type": kind, "mode": f"{stat.S_IMODE(info.st_mode):04o}", "uid": info.st_uid,
              "gid": info.st_gid, "mtime": time_text(info.st_mtime_ns)}
    if kind == "reg":
        record["size"] = info.st_size
    if kind != "dir":
        record["nlink"] = info.st_nlink
    if kind == "lnk":
        record["target"] = escape(os.readlink(path))
    if kind in ("chr", "blk"):
        record["rdev"] = f"{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"
    xattrs = attributes(path)
    if xattrs:
        record["xattrs"] = xattrs
    return record, (info.st_dev, info.st_ino)


def walk(root):
    """Every path below root as (real path, path in the image), the root first; no order is promised."""
    pending = [(root, b"/")]
    while pending:
        path, inside = pending.pop()
        yield path, inside
        if stat.S_ISDIR(os.lstat(path).st_mode):
            for name in os.listdir(path):
                pending.append((os.path.join(path, name), os.path.join(inside, name)))


def read_in_order(descriptor, size, chooser):
    digest = hashlib.sha256()
    step = chooser.choice((4096, 65536, PIECE)) if size <= IN_PIECES_LIMIT else PIECE
    total = 0
    while piece := os.read(descriptor, step):
        digest.update(piece)
        total += len(piece)
    if total != size:
        raise Difference(f"{total} bytes could be read of {size}")
    return digest.hexdigest()


def read_in_pieces(descriptor, size, chooser):
    content = bytearray(size)
    step = chooser.choice((4096, 5000, 65536))
    offsets = list(range(0, size, step))
    chooser.shuffle(offsets)
    for offset in offsets:
        piece = os.pread(descriptor, min(step, size - offset), offset)
        if len(piece) != min(step, size - offset):
            raise Difference(f"{len(piece)} bytes at {offset}")
        content[offset:offset + len(piece)] = piece
    return hashlib.sha256(content).hexdigest()


def read_mapped(descriptor, size, _chooser):
    with mmap.mmap(descriptor, size, prot=mmap.PROT_READ) as mapped:
        return hashlib.sha256(mapped).hexdigest()


def content_digest(path, size, chooser):
    """A reader chooses at random how it reads: in order, in pieces in any order, or through a mapping."""
    way = read_in_order
    if 0 < size <= IN_PIECES_LIMIT:
        way = chooser.choice((read_in_order, read_in_order, read_in_pieces, read_mapped))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return way(descriptor, size, chooser)
    finally:
        os.close(descriptor)


def reader_share(files, readers, number, seed):
    """One reader's files: its own share, and some that others read at the same time."""
    chooser = random.Random(f"{seed}-{number}")
    own = files[number::readers]
    shared = chooser.sample(files, min(len(files), len(files) // (4 * readers) + 8)) if readers > 1 else []
    both = own + shared
    chooser.shuffle(both)
    return both, chooser


def read_contents(records, paths, readers, seed):
    files = [shown for shown, record in records.items() if record["type"] == "reg"]

    def read_share(number):
        found = []
        share, chooser = reader_share(files, readers, number, seed)
        for shown in share:
            try:
                found.append((shown, content_digest(paths[shown], records[shown]["size"], chooser)))
            except (OSError, Difference) as error:
                found.append((shown, f"error: {error}"))
        return found

    with ThreadPoolExecutor(readers) as pool:
        for share in pool.map(read_share, range(readers)):
            for shown, digest in share:
                if records[shown].setdefault("sha256", digest) != digest:
                    records[shown]["sha256"] = f"readers disagree: {digest}"


def describe(root, readers=1, seed=0, contents=True):
    """A directory as a dictionary from the path as shown to its record."""
    records, paths, groups = {}, {}, {}
    for path, inside in walk(os.fsencode(root)):
        shown = escape(inside)
        records[shown], identity = describe_entry(path, shown)
        paths[shown] = path
        groups.setdefault(identity, []).append(inside)
    name_groups(records, groups.values())
    if contents:
        read_contents(records, paths, readers, seed)
    return records


def name_groups(records, groups):
    for group in groups:
        if len(group) > 1:
            first = escape(min(group))
            for inside in group:
                records[escape(inside)]["same"] = first


def read_listing(path):
    records = {}
    with open(path, encoding="ascii") as lines:
        for line in lines:
            record = json.loads(line)
            if "." not in record["mtime"]:
                record["mtime"] += ".000000000"
            records[record["path"]] = record
    return records


def load(name, readers=1, seed=0):
    return describe(name, readers, seed) if os.path.isdir(name) else read_listing(name)


def differences(left, right, ignore=()):
    """Texts that name path, field and both values. A field is compared where both sides have an opinion: a listing
    gives the number of links for regular files only, and chunks instead of a digest. `ignore` holds (path, field)."""
    found = [f"{path}: only on the left" for path in sorted(left.keys() - right.keys())]
    found += [f"{path}: only on the right" for path in sorted(right.keys() - left.keys())]
    for path in sorted(left.keys() & right.keys()):
        one, two = left[path], right[path]
        fields = [field for field in one.keys() | two.keys() if field not in ("chunks", "path")]
        if one["type"] != "reg":
            # Hard links of links, FIFOs and devices become files of their own, as every writer of the format does it.
            fields = [field for field in fields if field not in ("nlink", "same")]
        for field in sorted(fields):
            if field in ("nlink", "sha256") and (field not in one or field not in two):
                continue
            if one.get(field) != two.get(field) and (path, field) not in ignore:
                found.append(f"{path}: {field}: {str(one.get(field))[:200]} != {str(two.get(field))[:200]}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ignore", action="append", default=[], metavar="PATH:FIELD")
    parser.add_argument("left")
    parser.add_argument("right")
    options = parser.parse_args()
    ignore = {tuple(text.rsplit(":", 1)) for text in options.ignore}
    found = differences(load(options.left, options.readers, options.seed),
                        load(options.right, options.readers, options.seed), ignore)
    for text in found[:50]:
        print(text)
    if len(found) > 50:
        print(f"and {len(found) - 50} more")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
