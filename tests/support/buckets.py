"""Object stores to test against: fsspec's memory, and S3 served on this machine by moto."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


def memory() -> str:
    """A new bucket of this process."""
    return f"memory://bucket-{secrets.token_hex(4)}"


@contextmanager
def s3() -> Iterator[str]:
    """A new bucket of a server on a port of this machine."""
    import boto3
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    s3fs.S3FileSystem.clear_instance_cache()  # of an earlier server
    with patch.dict(os.environ, KEYS | endpoint):
        name = f"bucket-{secrets.token_hex(4)}"
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=name)
        try:
            yield f"s3://{name}"
        finally:
            server.stop()
