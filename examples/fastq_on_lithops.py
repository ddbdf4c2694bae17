"""Count the lines of a compressed FASTQ by functions of Lithops: D2.2, figure 14.

fastq_on_lithops.py s3://testdata/reads_1.fq.gz
"""

import os
import sys

from hpc_connector.slices import CloudObject, LithopsPreprocessor, open_executor
from hpc_connector.slices.formats.fastq_gzip import FASTQGZip, partition_reads_batches

if __name__ == "__main__":
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3")  # of another S3 than Amazon's
    config = {"endpoint_url": endpoint} if endpoint else {}

    co = CloudObject.from_path(FASTQGZip, sys.argv[1], storage_config=config)
    co.preprocess(LithopsPreprocessor(), force=True)
    slices = co.partition(partition_reads_batches, num_batches=5)

    with open_executor() as fexec:  # lithops.FunctionExecutor, in this Python
        fexec.map(lambda s: len(s.get()), slices)
        n_lines = fexec.get_result(show_progressbar=False)
    print(f"lines of {len(slices)} slices: {n_lines}, {sum(n_lines) // 4} reads")
