# MSight in Python, for compose/mixed.yml.
ARG PYTHON=python:3.11-slim-bookworm
FROM $PYTHON
# Libraries that MSight's viewers import, even if nothing is displayed.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libegl1 libgl1 libglib2.0-0 libgomp1 libusb-1.0-0 libx11-6 \
 && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir msight-core==2.0.0 msight-base
