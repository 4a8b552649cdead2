"""Buckets of services that speak S3's protocol: which one is meant, and a folder of files in it.

boto3 is imported where one is opened, and not before.
"""

from rvm_client.s3.bucket import OF_A_JOB, S3Bucket
from rvm_client.s3.failures import CREDENTIAL_CODES, failure_code
from rvm_client.s3.folder import S3Folder, StoredObject

__all__ = [
    "CREDENTIAL_CODES",
    "OF_A_JOB",
    "S3Bucket",
    "S3Folder",
    "StoredObject",
    "failure_code",
]
