"""Put files into a bucket, made if it is not there: put.py FILE... s3://bucket."""

import sys
from pathlib import Path

import boto3

*files, place = sys.argv[1:]
bucket = place.removeprefix("s3://").strip("/")
s3 = boto3.client("s3")
if bucket not in [known["Name"] for known in s3.list_buckets()["Buckets"]]:
    s3.create_bucket(Bucket=bucket)
for file in files:
    s3.upload_file(file, bucket, Path(file).name)
    print(f"s3://{bucket}/{Path(file).name}")
