# Two images from one file: `service` (the default: onnxruntime, no torch) and `trainer`.
#   docker build -t modelyard .                               # CPU
#   docker build -t modelyard:gpu --build-arg RUNTIME=gpu .   # CUDA: the libraries come with pip, the driver from the host
#   docker run --read-only --tmpfs /tmp -p 127.0.0.1:8000:8000 -v "$PWD/models:/models:ro" -e MODELYARD_OPEN=true modelyard
# It listens on every address inside its container, so it wants keys (MODELYARD_KEYS) or to be told that it may be open.
# Models are mounted, never baked in: a new version needs no new image.

ARG BASE=python:3.13-slim

# --- build: what needs pip and the sources; nothing of it but /venv is in an image ------------------------------------
FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
RUN python3 -m venv /venv
COPY pyproject.toml constraints.txt ./
# pyproject.toml names these two. Empty ones do for the dependencies, which so stay cached while the code and README change.
RUN touch README.md LICENSE

FROM build AS service-build
# cpu or gpu: onnxruntime's two packages overwrite each other's files, so an image has one
ARG RUNTIME=cpu
# For a machine that reaches packages in its own way (a mirror, a folder, a CA bundle). Unset, pip does as it always does.
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_CERT
# Whatever the index gives, only files whose digests are known are installed, what builds our own package included
COPY requirements requirements
RUN /venv/bin/pip install --require-hashes -r requirements/build.lock -r "requirements/service-${RUNTIME}.lock"
COPY README.md LICENSE ./
COPY service service
RUN /venv/bin/pip install --no-deps --no-build-isolation . && /venv/bin/pip uninstall --yes setuptools pip

FROM build AS trainer-build
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_CERT
# No digests here: torch's build is the index's choice: PIP_EXTRA_INDEX_URL with PyTorch's CPU index gives one without the CUDA libraries
RUN /venv/bin/pip install -c constraints.txt ".[cpu,train]"
COPY README.md LICENSE ./
COPY service service
COPY training training
RUN /venv/bin/pip install --no-deps --force-reinstall . && /venv/bin/pip uninstall --yes pip

# --- run --------------------------------------------------------------------------------------------------------------
FROM ${BASE} AS runtime
# A named user, because some libraries look their user up; a number in USER below, because orchestrators check that it is
# not 0. The home is /tmp, the one folder that can be written when the root cannot.
RUN groupadd --gid 10001 modelyard \
    && useradd --no-log-init --uid 10001 --gid 10001 --no-create-home --home-dir /tmp modelyard \
    && install -d /models
ENV PATH=/venv/bin:$PATH HOME=/tmp USER=modelyard \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONSAFEPATH=1 \
    MODELYARD_MODELS_DIR=/models
LABEL org.opencontainers.image.title="Modelyard" \
      org.opencontainers.image.description="Train a small neural network and serve it over REST, the same afternoon" \
      org.opencontainers.image.licenses="Apache-2.0"

FROM runtime AS trainer
# Open to any user like /tmp is: who trains is the one who owns the mounted folders (docker-compose.yml's `user`), and a
# named volume starts with the rights of the folder that it covers.
RUN install -d -m 1777 /cache /runs
COPY --from=trainer-build /venv /venv
ENV MODELYARD_CACHE_DIR=/cache MODELYARD_RUNS_DIR=/runs
USER 10001:10001
ENTRYPOINT ["python", "-m", "training"]
CMD ["--help"]

FROM runtime AS service
COPY --from=service-build /venv /venv
ENV MODELYARD_HOST=0.0.0.0 MODELYARD_PORT=8000
EXPOSE 8000
USER 10001:10001
# Not through a proxy, which Docker's client may put into the environment. A 503 raises, and so fails.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['MODELYARD_PORT'] + '/v2/health/ready', timeout=4)"]
# No shell in between: SIGTERM reaches Python, which drains.
ENTRYPOINT ["python", "-m", "service"]
