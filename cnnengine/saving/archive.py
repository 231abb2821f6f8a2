"""The zip file that a `.keras` file is: written without compression, read without trust, never extracted."""

import errno
import struct
import zipfile
import zlib
from contextlib import contextmanager

from cnnengine.core.errors import (
    CorruptFile,
    ModelFileError,
    TooLarge,
    TruncatedFile,
    UnsafeContent,
    UnsupportedVersion,
)  # fmt: skip
from cnnengine.saving.hdf5_write import ALIGNMENT
from cnnengine.saving.source import as_source

_MAX_MEMBERS = 1000
_MAX_GROWTH = 8  # members together, over the size of the file; Keras and cnnengine store them as they are
_LOCAL_HEADER = 30
_ZIP64 = 20  # bytes of the extra field that zipfile adds with force_zip64
_ALIGNMENT_ID, _EXTRA = 0xD935, 6  # of the extra field with which Android's zipalign moves content; its least size
_ENCRYPTED = 1


@contextmanager
def writing(file):
    """Write a zip archive to a binary file object; yields a function (name) -> binary file object of a new member."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        yield lambda name: archive.open(_entry(name, file.tell()), "w", force_zip64=True)


def _entry(name, place):
    """What zipfile is told of a member that is written at `place`: its content starts on a cache line."""
    member = zipfile.ZipInfo(name)
    start = place + _LOCAL_HEADER + len(name) + _ZIP64 + _EXTRA
    member.extra = struct.pack("<HHH", _ALIGNMENT_ID, 2 + -start % ALIGNMENT, ALIGNMENT) + bytes(-start % ALIGNMENT)
    return member


def read(data, wanted):
    """Members of an archive.

    Args:
        data: a Source, or the file's bytes.
        wanted: names of the members to read; those that are not there are left out.

    Returns:
        {name: Source}, whose bytes were compared with the checksums of the archive.

    Raises:
        ModelFileError: TruncatedFile, CorruptFile, UnsafeContent, UnsupportedVersion or TooLarge.
        OSError: as the system reports it.
    """
    source = as_source(data)
    if source.size < 4 or source.take(0, 4) != b"PK\3\4":
        raise CorruptFile("This is not a .keras file: it is no zip archive")
    try:
        with zipfile.ZipFile(source.file) as archive:
            members = archive.infolist()
            _check(members, source.size)
            wanted = [member for member in members if member.filename in wanted]
            return {member.filename: _content(archive, member, source) for member in wanted}
    except ModelFileError:
        raise
    except zipfile.BadZipFile as error:
        raise TruncatedFile(f"The .keras file is damaged, or its end is missing: {error}") from None
    except NotImplementedError as error:
        raise UnsupportedVersion(f"The .keras file is packed in a way that is not understood: {error}") from None
    except (OSError, EOFError, RuntimeError, ValueError, OverflowError, struct.error, zlib.error) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # an impossible place in the file
            raise
        raise CorruptFile(f"The .keras file is damaged: {error}") from None


def _check(members, size):
    """Refuse archives that no program writes by itself."""
    if len(members) > _MAX_MEMBERS:
        raise TooLarge(f"The .keras file has {len(members)} members. Expected at most {_MAX_MEMBERS}")
    names = [member.filename for member in members]
    if len(set(names)) != len(names):
        raise UnsafeContent(f"The .keras file has two members of one name: {sorted(names)[:10]}")
    for member in members:
        parts = member.filename.replace("\\", "/").split("/")
        if parts[0] in ("", "~") or ".." in parts or ":" in parts[0] or "\0" in member.orig_filename:
            raise UnsafeContent(f"The .keras file has a member with an unsafe name: {member.filename!r}")
        if member.flag_bits & _ENCRYPTED:
            raise UnsafeContent(f"The .keras file has an encrypted member: {member.filename!r}")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnsupportedVersion(f"The .keras file has a member packed in an unusual way: {member.filename!r}")
    if sum(member.file_size for member in members) > _MAX_GROWTH * size:
        raise TooLarge(f"The .keras file would grow more than {_MAX_GROWTH} times when unpacked")
    _check_places(sorted(members, key=lambda member: member.header_offset), size)


def _check_places(members, size):
    end = 0
    for member in members:
        if member.header_offset < end or (not end and member.header_offset):
            raise UnsafeContent("Members of the .keras file overlap, or something stands before them")
        end = member.header_offset + _LOCAL_HEADER + member.compress_size
        if end > size:
            raise TruncatedFile(f"The .keras file ends within {member.filename!r}")


def _content(archive, member, source):
    """The bytes of a member; stored ones stay in the file."""
    if member.compress_type != zipfile.ZIP_STORED:
        return as_source(archive.read(member))
    archive.open(member).close()  # compares the local header with the directory
    name, extra = struct.unpack("<HH", source.take(member.header_offset + 26, 4))
    start = member.header_offset + _LOCAL_HEADER + name + extra
    if member.compress_size != member.file_size or start + member.file_size > source.size:
        raise TruncatedFile(f"The .keras file ends within {member.filename!r}")
    content = source.part(start, member.file_size)
    if content.crc32(0, content.size) != member.CRC:
        raise CorruptFile(f"{member.filename!r} of the .keras file does not fit its checksum: the file was damaged")
    return content
