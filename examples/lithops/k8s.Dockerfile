# The image of functions on Kubernetes; its Python is the version of who calls.
# lithops_k8s.zip is made by `lithops runtime build`.
FROM python:3.11-slim-bookworm
ENV PYTHONUNBUFFERED=TRUE NUMBA_CACHE_DIR=/tmp/numba
COPY hpc_connector-*.whl /tmp/
# boto3 stands no newer dateutil, and pip would search long for what suits kubernetes too
RUN pip install --no-cache-dir flask kubernetes "python-dateutil<3" \
    "$(ls /tmp/hpc_connector-*.whl)[cloud,lithops]"
WORKDIR /lithops
COPY lithops_k8s.zip .
RUN python -m zipfile -e lithops_k8s.zip . && rm lithops_k8s.zip
USER 1000:1000
