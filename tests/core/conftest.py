"""A bucket that two machines share."""

from tests.bucket import bucket_environment, objects, on  # noqa: F401
