# The image of functions on AWS Lambda; its Python is the version of who calls.
# lithops_lambda.zip is made by `lithops runtime build`.
FROM python:3.11-slim-bookworm
ENV FUNCTION_DIR=/function NUMBA_CACHE_DIR=/tmp/numba
WORKDIR ${FUNCTION_DIR}
COPY hpc_connector-*.whl /tmp/
RUN pip install --no-cache-dir awslambdaric "$(ls /tmp/hpc_connector-*.whl)[cloud,lithops]"
COPY lithops_lambda.zip .
RUN python -m zipfile -e lithops_lambda.zip . && rm lithops_lambda.zip
ENTRYPOINT ["/usr/local/bin/python", "-m", "awslambdaric"]
CMD ["entry_point.lambda_handler"]
