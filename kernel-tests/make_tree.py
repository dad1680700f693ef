#!/usr/bin/env python3
"""Makes a tree from a seed: kernel-tests/make_tree.py [--chunk-size BYTES] [--huge] SEED FOLDER

The same seed gives the same tree. Every tree has some of the extremes of the format, chosen by the seed; the
features used are printed. Needs root (owners, devices, trusted attributes)."""

import argparse
import os
import random
import socket
import stat
import struct
import sys

NAME_MAX = 255
BLOCK = 4096
TIMES = (-2**31, -86400 * 365 * 30, -1, 0, 1, 10**9, 1_700_000_000, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 4_500_000_000, 13_000_000_000)
OWNERS = (0, 0, 0, 1, 1000, 65534, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 2)
MODES = (0o644, 0o600, 0o755, 0o000, 0o444, 0o4755, 0o2755, 0o1777, 0o7777, 0o666)
ODD_NAMES = (b"-rf", b"--", b"!important", b" leading", b"trailing ", b"new\nline", b"tab\there", b"back\\slash", b"quote'\"",
             b"*?[x]", b"\xff\xfe-not-utf8", "ünïcödé".encode(), "e\u0301".encode(), b"\x01\x02\x7f", b"...", b"..x", b".hidden",
             b"CON", b"a:b|c<d>", b"$(touch pwned)", b"%s%n", b"#", b"=", b",", b"x" * NAME_MAX, b"\xe2\x82\xac" * 85)


class Maker:
    def __init__(self, seed, root, chunk_size=1 << 20, huge=False):
        self.random = random.Random(seed)
        self.root = os.fsencode(root)
        self.chunk_size, self.huge = chunk_size, huge
        self.features = []
        self.files = []
        self.made = [self.root]

    def make(self):
        os.umask(0o022)
        os.makedirs(self.root, exist_ok=True)
        always = [self.plain, self.sizes]
        sometimes = [self.odd_names, self.hard_links, self.symlinks, self.devices, self.wide, self.deep, self.times, self.owners,
                     self.xattrs, self.big_xattrs, self.acls, self.capability, self.sockets, self.duplicates, self.sparse,
                     self.name_lengths, self.empty_dirs, self.several_chunks]
        chosen = [feature for feature in sometimes if self.random.random() < 0.45]
        for feature in always + chosen + ([self.huge_sparse] if self.huge else []):
            self.features.append(feature.__name__)
            feature(self.folder(feature.__name__.encode()))
        self.dress()
        return self.features

    # --- pieces -----------------------------------------------------------------------------------------------------

    def folder(self, *names):
        path = os.path.join(self.root, *names)
        os.makedirs(path, exist_ok=True)
        self.made.append(path)
        return path

    def content(self, size):
        """Bytes of one of several kinds: incompressible, text, zeros, one byte, a mixture."""
        kind = self.random.randrange(5)
        if kind == 0:
            return self.random.randbytes(size)
        if kind == 1:
            words = b" ".join(self.random.choice((b"alpha", b"beta", b"gamma", b"delta")) for _ in range(64)) + b"\n"
            return (words * (size // len(words) + 1))[:size]
        if kind == 2:
            return bytes(size)
        if kind == 3:
            return bytes([self.random.randrange(256)]) * size
        half = size // 2
        return self.random.randbytes(half) + bytes(size - half)

    def file(self, path, data):
        with open(path, "wb") as out:
            out.write(data)
        self.files.append(path)
        self.made.append(path)

    # --- features ---------------------------------------------------------------------------------------------------

    def plain(self, top):
        for number in range(self.random.randrange(3, 40)):
            where = top if number % 3 else self.folder(top, b"sub%d" % (number % 7))
            self.file(os.path.join(where, b"file%d" % number), self.content(self.random.randrange(20000)))

    def sizes(self, top):
        chunk = self.chunk_size
        interesting = [0, 1, 2, 511, 512, 4000, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 65535, 65536, 65537, chunk - 1, chunk, chunk + 1,
                       2 * chunk, 2 * chunk + 1]
        # Around the size at which data no longer fits beside its inode in a block.
        interesting += [BLOCK - 64, BLOCK - 32, BLOCK - 65]
        for size in self.random.sample(interesting, 9) + [0, 1]:
            self.file(os.path.join(top, b"%d" % size), self.content(size))

    def several_chunks(self, top):
        self.file(os.path.join(top, b"many"), self.content(self.chunk_size * self.random.randrange(2, 5) + self.random.randrange(5000)))

    def odd_names(self, top):
        for name in ODD_NAMES:
            self.file(os.path.join(top, name), name)
        inner = self.folder(top, b"dir\n\xff" + b"d" * 240)
        self.file(os.path.join(inner, b"n" * NAME_MAX), b"deep name")

    def name_lengths(self, top):
        for length in self.random.sample(range(1, NAME_MAX + 1), 120):
            self.file(os.path.join(top, b"n" * length), b"")

    def hard_links(self, top):
        for group in range(3):
            first = os.path.join(top, b"first%d" % group)
            self.file(first, self.content(self.random.randrange(9000)))
            for number in range(self.random.choice((1, 2, 30, 700))):
                where = self.folder(top, b"l%d" % (number % 3))
                os.link(first, os.path.join(where, b"%d-link%d" % (group, number)))
        special = os.path.join(top, b"fifo")
        os.mkfifo(special)
        os.link(special, os.path.join(top, b"fifo-again"))

    def symlinks(self, top):
        targets = [b"x", b"../plain/file1", b"/etc/passwd", b"self", b".", b"..", b"\xff\n", b"y" * 59, b"y" * 60, b"z" * 4000, b"w" * 4095]
        for number, target in enumerate(targets):
            path = os.path.join(top, b"link%d" % number)
            os.symlink(target, path)
            self.made.append(path)

    def devices(self, top):
        for number, (major, minor) in enumerate(((1, 3), (259, 70000), (4095, 1048575), (8, 256), (254, 255))):
            kind = stat.S_IFCHR if number % 2 else stat.S_IFBLK
            path = os.path.join(top, b"device%d" % number)
            os.mknod(path, kind | 0o600, os.makedev(major, minor))
            self.made.append(path)
        fifo = os.path.join(top, b"fifo")
        os.mkfifo(fifo, 0o620)
        self.made.append(fifo)

    def sockets(self, top):
        here = os.getcwd()
        os.chdir(top)  # a socket's path has 107 bytes at most
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("socket")
        os.chdir(here)
        self.made.append(os.path.join(top, b"socket"))

    def wide(self, top):
        for number in range(self.random.choice((300, 2500, 6000))):
            name = b"%0*d" % (self.random.choice((1, 5, 40)), number)
            if number % 50:
                os.symlink(b"t", os.path.join(top, name))
            else:
                self.file(os.path.join(top, name), b"%d" % number)

    def deep(self, top):
        """Deeper than a path can say: each folder is made from inside the one above."""
        here = [os.open(top, os.O_RDONLY)]
        for number in range(self.random.choice((30, 150, 600))):
            name = b"d%d" % (number % 10)
            os.mkdir(name, dir_fd=here[-1])
            here.append(os.open(name, os.O_RDONLY, dir_fd=here[-1]))
        bottom = os.open(b"bottom", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=here[-1])
        for descriptor in [bottom] + here[::-1]:
            os.utime(descriptor, ns=(0, self.random.choice(TIMES) * 10**9))
            os.close(descriptor)

    def empty_dirs(self, top):
        for number in range(20):
            self.folder(top, b"empty%d" % number)

    def duplicates(self, top):
        data = [self.random.randbytes(self.random.choice((10, BLOCK, 70000, self.chunk_size + 3))) for _ in range(4)]
        for number in range(25):
            self.file(os.path.join(top, b"copy%d" % number), self.random.choice(data))

    def sparse(self, top):
        for number, size in enumerate((3 * self.chunk_size, 2 * self.chunk_size + 77, 5 * BLOCK)):
            path = os.path.join(top, b"sparse%d" % number)
            self.file(path, b"")
            with open(path, "r+b") as out:
                out.truncate(size)
                out.seek(self.random.randrange(size))
                out.write(b"island")
                out.truncate(max(size, out.tell()))

    def huge_sparse(self, top):
        path = os.path.join(top, b"4GiB+1")
        self.file(path, b"start")
        with open(path, "r+b") as out:
            out.seek(2**32)
            out.write(b"!")

    def times(self, top):
        for number, seconds in enumerate(TIMES):
            path = os.path.join(top, b"time%d" % number)
            self.file(path, b"t")
            self.set_time(path, seconds)

    def owners(self, top):
        for number, owner in enumerate(OWNERS):
            path = os.path.join(top, b"owner%d" % number)
            self.file(path, b"")
            os.chown(path, owner, self.random.choice(OWNERS))

    def xattrs(self, top):
        for number in range(12):
            path = os.path.join(top, b"attr%d" % number)
            self.file(path, b"")
            for index in range(self.random.randrange(1, 8)):
                name = self.random.choice((b"user.", b"trusted.")) + b"n%d" % index
                os.setxattr(path, name, self.random.choice((b"", b"1", b"shared value", b"\x00\n\xff=", self.random.randbytes(40))))
            os.setxattr(path, b"user.everywhere", b"the same on every file")
        os.setxattr(top, b"user.directory", b"d")
        os.symlink(b"nowhere", os.path.join(top, b"link"))
        os.setxattr(os.path.join(top, b"link"), b"trusted.on-link", b"l", follow_symlinks=False)

    def big_xattrs(self, top):
        """As much as the file system below takes: ext4 with common settings holds a block in all."""
        path = os.path.join(top, b"big")
        self.file(path, b"")
        for size in (65536, 60000, 3500, 1000):
            try:
                os.setxattr(path, b"user.big", self.random.randbytes(size))
                break
            except OSError:
                continue
        self.file(os.path.join(top, b"long-name"), b"")
        os.setxattr(os.path.join(top, b"long-name"), b"user." + b"n" * 250, b"v")
        self.file(os.path.join(top, b"many"), b"")
        for number in range(40):
            os.setxattr(os.path.join(top, b"many"), b"user.many%02d" % number, b"%d" % number)

    def acls(self, top):
        path = os.path.join(top, b"file")
        self.file(path, b"a")
        os.setxattr(path, "system.posix_acl_access", acl(7, users=((1000, 6), (2**31, 4)), groups=((2000, 4),), rest=4))
        inner = self.folder(top, b"dir")
        os.setxattr(inner, "system.posix_acl_default", acl(7, users=((1000, 7),), groups=(), rest=5))
        os.setxattr(inner, "system.posix_acl_access", acl(7, users=(), groups=((65534, 1),), rest=5))
        self.file(os.path.join(inner, b"inherits"), b"")

    def capability(self, top):
        path = os.path.join(top, b"ping")
        self.file(path, b"#!")
        os.chmod(path, 0o755)
        os.setxattr(path, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))

    # --- at the end, since making an entry changes its folder --------------------------------------------------------

    def set_time(self, path, seconds):
        nanoseconds = self.random.choice((0, 1, 999_999_999, self.random.randrange(10**9)))
        stamp = seconds * 10**9 + nanoseconds
        os.utime(path, ns=(stamp, stamp), follow_symlinks=False)

    def dress(self):
        for path in sorted(set(self.made), key=lambda path: (-len(path), path)):
            # chown takes a file's capability away, and chmod changes an ACL: leave those alone.
            touchy = b"/acls" in path or b"/capability" in path
            if not touchy and self.random.random() < 0.2:
                os.chown(path, self.random.choice(OWNERS), self.random.choice(OWNERS), follow_symlinks=False)
            if not touchy and not os.path.islink(path) and self.random.random() < 0.4:
                os.chmod(path, self.random.choice(MODES))
            if b"/times/" not in path:
                self.set_time(path, self.random.choice(TIMES))


def acl(owner, users, groups, rest):
    """The value of an ACL attribute as the kernel takes it: version 2, entries by tag and then by id."""
    entries = [(1, owner, 2**32 - 1)] + [(2, bits, who) for who, bits in sorted(users)] + [(4, 4, 2**32 - 1)]
    entries += [(8, bits, who) for who, bits in sorted(groups)] + [(16, 7, 2**32 - 1), (32, rest, 2**32 - 1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunk-size", type=int, default=1 << 20)
    parser.add_argument("--huge", action="store_true", help="also a sparse file of 4 GiB and a byte")
    parser.add_argument("seed", type=int)
    parser.add_argument("folder")
    options = parser.parse_args()
    print(*Maker(options.seed, options.folder, options.chunk_size, options.huge).make())


if __name__ == "__main__":
    sys.exit(main())
