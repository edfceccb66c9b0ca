"""A file system of Apache Beam that is not this machine's; importing it makes it known to Beam."""

import io

from apache_beam.io.filesystem import FileMetadata, FileSystem


class Upload(io.BytesIO):
    """What is written becomes an object when it is closed."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def close(self):
        if not self.closed:
            Bucket.objects[self.path] = self.getvalue()
        super().close()


class Bucket(FileSystem):
    """Objects in memory under `bucket://…`, as in cloud storage: no folders, whole or not there."""

    objects: dict[str, bytes] = {}

    @classmethod
    def scheme(cls):
        return "bucket"

    def join(self, basepath, *paths):
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path):
        head, _, tail = path.rpartition("/")
        return head, tail

    def mkdirs(self, path):
        pass

    def has_dirs(self):
        return False

    def _list(self, prefix):
        return [self.metadata(path) for path in sorted(self.objects) if path.startswith(prefix)]

    def create(self, path, *args, **kwargs):
        return Upload(path)

    def open(self, path, *args, **kwargs):
        return io.BytesIO(self.objects[path])

    def copy(self, source_file_names, destination_file_names):
        for source, destination in zip(source_file_names, destination_file_names, strict=True):
            self.objects[destination] = self.objects[source]

    def rename(self, source_file_names, destination_file_names):
        self.copy(source_file_names, destination_file_names)
        self.delete(source_file_names)

    def exists(self, path):
        return path in self.objects

    def size(self, path):
        return len(self.objects[path])

    def last_updated(self, path):
        return 0.0

    def checksum(self, path):
        return str(hash(self.objects[path]))

    def metadata(self, path):
        return FileMetadata(path, self.size(path), 0.0)

    def delete(self, paths):
        for result in self.match(paths):
            for file in result.metadata_list:
                del self.objects[file.path]
