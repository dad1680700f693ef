"""Stacks of OCI layers from a seed, and what they must show: an implementation of the layer rules of the OCI image
specification that shares nothing with the programs under test.

A layer is a list of members in the order of its tar. `Model.apply` does what extracting one over the other would."""

import hashlib
import io
import os
import random
import sys
import tarfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "kernel-tests"))
import tree  # noqa: E402

OPAQUE = ".wh..wh..opq"
WHITEOUT = ".wh."
SIZES = (0, 1, 100, 4095, 4096, 4097, 70000, 1 << 20, (1 << 20) + 1, 2_500_000)


class Member:
    def __init__(self, path, kind, mode=0o644, uid=0, gid=0, mtime=0, content=b"", target="", device=(0, 0), xattrs=None):
        self.path, self.kind, self.mode, self.uid, self.gid, self.mtime = path, kind, mode, uid, gid, mtime
        self.content, self.target, self.device, self.xattrs = content, target, device, xattrs or {}

    def tarinfo(self, prefix):
        types = {"dir": tarfile.DIRTYPE, "reg": tarfile.REGTYPE, "lnk": tarfile.SYMTYPE, "link": tarfile.LNKTYPE,
                 "fifo": tarfile.FIFOTYPE, "chr": tarfile.CHRTYPE, "blk": tarfile.BLKTYPE}
        info = tarfile.TarInfo(prefix + self.path if self.path else "./")
        info.type, info.mode, info.uid, info.gid, info.mtime = types[self.kind], self.mode, self.uid, self.gid, self.mtime
        info.size = len(self.content) if self.kind == "reg" else 0
        info.linkname = prefix + self.target if self.kind == "link" else self.target
        info.devmajor, info.devminor = self.device
        info.pax_headers = {f"SCHILY.xattr.{name}": value for name, value in self.xattrs.items()}
        return info


def tar_bytes(members, prefix=""):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            archive.addfile(member.tarinfo(prefix), io.BytesIO(member.content))
    return out.getvalue()


class Inode:
    def __init__(self, member):
        self.member = member
        self.children = {} if member.kind == "dir" else None


def implied():
    return Inode(Member("", "dir", 0o755))


class Model:
    """The file system so far. Names within a layer refer to that layer; whiteouts to what lies below it."""

    def __init__(self):
        self.root = implied()

    def find(self, path):
        node = self.root
        for name in filter(None, path.split("/")):
            if node is None or node.children is None:
                return None
            node = node.children.get(name)
        return node

    def apply(self, members):
        below = {member.target: self.find(member.target) for member in members if member.kind == "link"}
        for member in members:
            self.hide(member)
        own = {path: inode for path, inode in below.items() if inode is not None}
        for member in members:
            name = os.path.basename(member.path)
            if not name.startswith(WHITEOUT):
                self.put(member, own)

    def hide(self, member):
        folder, name = os.path.split(member.path)
        parent = self.find(folder)
        if not name.startswith(WHITEOUT) or parent is None or parent.children is None:
            return
        if name == OPAQUE:
            parent.children.clear()
        else:
            parent.children.pop(name[len(WHITEOUT):], None)

    def put(self, member, own):
        if not member.path:
            self.root.member = member
            return
        folder, name = os.path.split(member.path)
        node = self.root
        for part in filter(None, folder.split("/")):
            below = node.children.get(part)
            if below is None or below.children is None:
                below = node.children[part] = implied()
            node = below
        if member.kind == "link":
            node.children[name] = own[member.target]
            return
        old = node.children.get(name)
        if member.kind == "dir" and old is not None and old.children is not None:
            old.member = member
            own[member.path] = old
        else:
            own[member.path] = node.children[name] = Inode(member)

    def listing(self):
        records, groups = {}, {}
        pending = [(b"/", self.root)]
        while pending:
            path, node = pending.pop()
            shown = tree.escape(path)
            records[shown] = record(node.member, shown)
            groups.setdefault(id(node), []).append(path)
            for name, child in (node.children or {}).items():
                pending.append((os.path.join(path, name.encode()), child))
        for group in groups.values():
            for path in group:
                entry = records[tree.escape(path)]
                if entry["type"] == "reg":
                    entry["nlink"] = len(group)
        tree.name_groups(records, groups.values())
        return records


def record(member, shown):
    found = {"path": shown, "type": member.kind, "mode": f"{member.mode:04o}", "uid": member.uid, "gid": member.gid,
             "mtime": f"{member.mtime}.000000000"}
    if member.kind == "reg":
        found["size"], found["sha256"] = len(member.content), hashlib.sha256(member.content).hexdigest()
    if member.kind == "lnk":
        found["target"], found["mode"] = tree.escape(member.target.encode()), "0777"
    if member.kind in ("chr", "blk"):
        found["rdev"] = "%d:%d" % member.device
    if member.xattrs:
        found["xattrs"] = {name: value.encode().hex() for name, value in member.xattrs.items()}
    return found


class Generator:
    """Layers that use what lies below: replaced, hidden, opaque, type changed, copied up, linked."""

    def __init__(self, seed, implied_folders=True, links_below=False):
        self.random = random.Random(seed)
        self.model = Model()
        self.implied_folders = implied_folders
        self.links_below = links_below
        self.contents = []
        self.counter = 0

    def layer(self):
        self.members, self.touched = [], set()
        if self.random.random() < 0.5:
            self.members.append(Member("", "dir", self.random.choice((0o755, 0o711)), 0, 0, 1_600_000_000))
        for _ in range(self.random.randrange(3, 14)):
            self.random.choice((self.new_file, self.new_file, self.new_folder, self.new_other, self.link_group, self.hide,
                                self.opaque, self.change_type, self.copy_up, self.change_folder,
                                *([self.link_below] * self.links_below)))()
        self.model.apply(self.members)
        return self.members

    # --- picking ----------------------------------------------------------------------------------------------------

    def paths(self, folders):
        found, pending = [], [("", self.model.root)]
        while pending:
            path, node = pending.pop()
            for name, child in node.children.items():
                below = f"{path}/{name}" if path else name
                if (child.children is not None) == folders:
                    found.append(below)
                if child.children is not None:
                    pending.append((below, child))
        return sorted(found)

    def pick(self, folders):
        """A path of the layers below that this layer has not touched, above or below."""
        free = [path for path in self.paths(folders)
                if not any(path == other or path.startswith(other + "/") or other.startswith(path + "/")
                           for other in self.touched)]
        return self.random.choice(free) if free else None

    def parent(self):
        if self.random.random() < 0.3:
            return ""
        free = [path for path in self.paths(True) if not any((path + "/").startswith(other + "/") for other in self.touched)]
        if not free:
            return ""
        path = self.random.choice(free)
        if not (self.implied_folders and self.random.random() < 0.5):
            self.spell_out(path)
        return path

    def spell_out(self, path):
        """Members for the folders of a path, as layers of container tools have them."""
        known = {member.path for member in self.members}
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            folder = "/".join(parts[:end])
            node = self.model.find(folder)
            if folder not in known and node is not None and node.children is not None:
                old = node.member
                self.members.append(Member(folder, "dir", old.mode, old.uid, old.gid, old.mtime, xattrs=old.xattrs))

    def fresh(self):
        self.counter += 1
        name = self.random.choice(("a", "-x", "zz", "file name", "ünï", "n" * 200)) + str(self.counter)
        parent = self.parent()
        return f"{parent}/{name}" if parent else name

    def attributes(self):
        chooser = self.random
        return dict(mode=chooser.choice((0o644, 0o600, 0o4755, 0o444)), uid=chooser.choice((0, 1000, 70000)), gid=chooser.choice((0, 5)),
                    mtime=chooser.choice((0, 1, 1_700_000_000)), xattrs={"user.k": "v"} if chooser.random() < 0.2 else {})

    def content(self):
        if self.contents and self.random.random() < 0.4:
            return self.random.choice(self.contents)
        size = self.random.choice(SIZES)
        content = self.random.randbytes(size) if self.random.random() < 0.5 else (b"%d " % self.counter * size)[:size]
        self.contents.append(content)
        return content

    # --- what a layer may do ----------------------------------------------------------------------------------------

    def add(self, member):
        self.members.append(member)
        self.touched.add(member.path)

    def new_file(self):
        self.add(Member(self.fresh(), "reg", content=self.content(), **self.attributes()))

    def new_folder(self):
        path = self.fresh()
        if not self.implied_folders or self.random.random() < 0.7:
            self.add(Member(path, "dir", self.random.choice((0o755, 0o700, 0o1777)), 3, 4, 1_650_000_000))
        self.add(Member(path + "/inside", "reg", content=self.content(), **self.attributes()))
        self.touched.add(path)

    def new_other(self):
        kind = self.random.choice(("lnk", "fifo", "chr", "blk"))
        self.add(Member(self.fresh(), kind, 0o640, 1, 2, 1_700_000_001, target="../some/where" if kind == "lnk" else "",
                        device=(7, 300) if kind in ("chr", "blk") else (0, 0)))

    def link_group(self):
        first = self.fresh()
        self.add(Member(first, "reg", content=self.content(), **self.attributes()))
        for _ in range(self.random.randrange(1, 4)):
            self.add(Member(self.fresh(), "link", target=first))

    def hide(self):
        path = self.pick(self.random.random() < 0.3)
        if path:
            folder, name = os.path.split(path)
            self.add(Member(os.path.join(folder, WHITEOUT + name), "reg"))
            self.touched.add(path)

    def opaque(self):
        path = self.pick(True)
        if path:
            self.spell_out(path)
            inside = Member(path + "/-only", "reg", content=self.content(), **self.attributes())
            marker = Member(f"{path}/{OPAQUE}", "reg")
            for member in self.random.sample((inside, marker), 2):
                self.add(member)
            self.touched.add(path)

    def change_type(self):
        if self.random.random() < 0.5:
            path = self.pick(True)
            if path:
                self.add(Member(path, "reg", content=self.content(), **self.attributes()))
        else:
            path = self.pick(False)
            if path:
                self.add(Member(path, "dir", 0o750, 0, 0, 1_700_000_002))
                self.add(Member(path + "/now", "reg", content=self.content(), **self.attributes()))

    def copy_up(self):
        path = self.pick(False)
        old = self.model.find(path).member if path else None
        if old is not None and old.kind == "reg":
            self.add(Member(path, "reg", old.mode ^ 0o100, old.uid + 1, old.gid, old.mtime, old.content, xattrs=old.xattrs))

    def link_below(self):
        path = self.pick(False)
        old = self.model.find(path).member if path else None
        if old is not None and old.kind == "reg":
            self.touched.add(path)
            for _ in range(self.random.randrange(1, 3)):
                self.add(Member(self.fresh(), "link", target=path))
            if self.random.random() < 0.3:  # the new name alone remains, as after a renaming
                folder, name = os.path.split(path)
                self.add(Member(os.path.join(folder, WHITEOUT + name), "reg"))

    def change_folder(self):
        path = self.pick(True)
        if path:
            self.add(Member(path, "dir", self.random.choice((0o755, 0o711, 0o2775)), 8, 9, self.random.choice((0, 1_700_000_003))))


def stack(seed, layers, implied_folders=True, links_below=False):
    """(list of member lists, listing of the result)"""
    generator = Generator(seed, implied_folders, links_below)
    made = [generator.layer() for _ in range(layers)]
    return made, generator.model.listing()
