"""Enough of the format, read independently of our own reader, to lay out uncompressed blobs for the kernel by hand."""

import os
import struct

EXTENSION, DEVICE_SLOT, BLOB_ENTRY, CHUNK_ENTRY = 1152, 128, 256, 80
BLOCK = 4096
CHUNK_COMPRESSED, CHUNK_ENCRYPTED = 1, 4


class Bootstrap:
    def __init__(self, path):
        with open(path, "rb") as source:
            self.bytes = source.read()
        devices, self.slot = struct.unpack_from("<HH", self.bytes, 1024 + 86)
        table, size = self.blob_table()
        self.blobs = []
        for number in range(size // BLOB_ENTRY):
            entry = table + number * BLOB_ENTRY
            name = self.bytes[entry:entry + 64].rstrip(b"\0").decode()
            self.blobs.append((name, struct.unpack_from("<Q", self.bytes, entry + 96)[0]))
        if devices != len(self.blobs):
            raise ValueError(f"{devices} devices for {len(self.blobs)} blobs")

    def blob_table(self):
        return struct.unpack_from("<QI", self.bytes, EXTENSION + 8)

    def chunks(self):
        """Each entry of the chunk table: (blob, flags, compressed size, size, compressed offset, offset)."""
        offset, size = struct.unpack_from("<QQ", self.bytes, EXTENSION + 24)
        for entry in range(offset, offset + size, CHUNK_ENTRY):
            blob, flags, packed, plain, packed_at, plain_at = struct.unpack_from("<IIIIQQ", self.bytes, entry + 32)
            yield blob, flags, packed, plain, packed_at, plain_at


def lay_out(bootstrap_path, blob_folder, target):
    """The kernel's devices of an uncompressed image, in the order of its device table; returns their paths."""
    bootstrap = Bootstrap(bootstrap_path)
    paths = [os.path.join(target, name) for name, _ in bootstrap.blobs]
    opened = [(open(os.path.join(blob_folder, name), "rb"), open(path, "wb")) for (name, _), path in zip(bootstrap.blobs, paths)]
    for blob, flags, packed, plain, packed_at, plain_at in bootstrap.chunks():
        if flags & (CHUNK_COMPRESSED | CHUNK_ENCRYPTED) or packed != plain:
            raise ValueError(f"blob {blob}: a chunk is not stored as it is")
        source, device = opened[blob]
        device.seek(plain_at)
        device.write(os.pread(source.fileno(), plain, packed_at))
    for (source, device), (_, size) in zip(opened, bootstrap.blobs):
        device.truncate((size + BLOCK - 1) // BLOCK * BLOCK)
        source.close()
        device.close()
    return paths
