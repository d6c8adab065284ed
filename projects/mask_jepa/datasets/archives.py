import glob
import os.path as osp
import struct
import tarfile
import zipfile
from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ..utils import printable

ARCHIVES = ('.zip', '.tar')
BLOCK = 512  # bytes of tar; one of zeros ends it
LOCAL_HEADER = struct.Struct('<4s22xHH')  # in zip, before a name and extras
ENCRYPTED = 1  # bit of a zip member's flags


class Place(NamedTuple):
    """Where the bytes of a file lie in an archive, and how.

    Attributes:
        begin (int): Offset of tar's data or of zip's local header.
        size (int): Bytes of the file.
        stored (int): Bytes of it in the archive.
        method (int, optional): Of zip's compression; None in a tar.
        checksum (int): Its CRC-32, in zip.
    """

    begin: int
    size: int
    stored: int
    method: Optional[int] = None
    checksum: int = 0


class ArchivedImage(str):
    """Path of an image in an archive, ``photos.zip/a/b.jpg``, that also knows
    where its bytes are.

    So each process reads them without a list of its own, from a file that it
    opens for that, and nothing is ever unpacked to a path.

    Args:
        path (str): The path of the archive, '/' and the name within it.
        archive (str): The path of the archive.
        place (Place): Of the bytes.
    """

    def __new__(cls, path: str, archive: str, place: Place) -> 'ArchivedImage':
        self = super().__new__(cls, path)
        self.archive = archive
        self.place = place
        return self

    def __getnewargs__(self) -> tuple:
        return str(self), self.archive, self.place

    def read(self) -> bytes:
        """Read the file; an error if it is not whole."""
        begin, size, stored, method, checksum = self.place
        with open(self.archive, 'rb') as file:
            file.seek(begin)
            if method is None:
                content = file.read(size)
            else:
                mark, *lengths = LOCAL_HEADER.unpack(
                    file.read(LOCAL_HEADER.size))
                if mark != b'PK\3\4':
                    raise ValueError('the archive has changed or is damaged')
                file.seek(sum(lengths), 1)
                info = zipfile.ZipInfo(str(self))
                info.compress_type, info.CRC = method, checksum
                info.compress_size, info.file_size = stored, size
                content = zipfile.ZipExtFile(file, 'r', info).read()
        if len(content) != size:
            raise ValueError('the archive ends within it')
        return content


def is_archive(source: str) -> bool:
    """Tell whether a source is an archive, or a pattern of the names of some,
    such as ``shards/*.tar``."""
    return (source.lower().endswith(ARCHIVES) and not osp.isdir(source)
            and bool(find_archives(source)))


def find_archives(source: str) -> List[str]:
    """Find the archives that a source names, sorted."""
    if osp.isfile(source):
        return [source]
    folder, pattern = osp.split(source)
    return sorted(glob.glob(osp.join(glob.escape(folder), pattern)))


def find_members(source: str, suffixes: Sequence[str]) -> List[ArchivedImage]:
    """Find files in archives by their endings, but hidden ones.

    Args:
        source (str): As for :func:`is_archive`.
        suffixes (Sequence[str]): In lower case.

    Returns:
        list[ArchivedImage]: Relative to the folder of the archives, sorted;
        of several under one name the last, as they unpack.

    Raises:
        ValueError: If an archive is damaged, or an image in it encrypted.
    """
    found = {}
    for archive in find_archives(source):
        list_files = (
            list_zip if archive.lower().endswith('.zip') else list_tar)
        try:
            for name, place in list_files(archive):
                if (name.lower().endswith(tuple(suffixes))
                        and not osp.basename(name).startswith('.')):
                    path = f'{osp.basename(archive)}/{name}'
                    found[path] = ArchivedImage(path, archive, place)
        except Exception as error:  # of many types, on broken bytes
            reason = str(error) or type(error).__name__
            raise ValueError(
                printable(
                    f'{archive} is no archive to read images from ({reason}): '
                    'give a whole zip without a password, or a whole tar '
                    'that is not compressed.')) from error
    return [found[path] for path in sorted(found)]


def list_zip(archive: str) -> Iterator[Tuple[str, Place]]:
    """List the files of a zip."""
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            if info.flag_bits & ENCRYPTED:
                raise ValueError(f'{info.filename} is encrypted')
            yield info.filename, Place(info.header_offset, info.file_size,
                                       info.compress_size, info.compress_type,
                                       info.CRC)


def list_tar(archive: str) -> Iterator[Tuple[str, Place]]:
    """List the files of a tar, but links and those with holes."""
    with tarfile.open(archive, 'r:') as file:
        while (info := file.next()) is not None:
            if info.size < 0:
                raise ValueError(f'{info.name} has a negative size')
            if info.isreg() and not info.issparse():
                yield info.name, Place(info.offset_data, info.size, info.size)
            file.members.clear()  # which would be a kilobyte each
        # Of a header that is broken tarfile says nothing.
        file.fileobj.seek(file.offset)
        if file.fileobj.read(BLOCK) != bytes(BLOCK):
            raise ValueError(f'no end after {file.offset} bytes')
