# Stein with its simulator and the XLA plugin for processors, to train, to serve and
# to simulate for others. It runs as an ordinary user, and needs no writing but to
# /tmp and /runs:
#   docker build -t stein .
#   docker run --read-only --tmpfs /tmp -v runs:/runs stein train --config pendulum/sac --runs /runs
# docs/operations.md has more.

FROM golang:1.26-bookworm AS build
# The library is linked: what is here must be what runs below, so both are bookworm.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libzmq3-dev=4.3.4-6 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=container
ENV GOMLX_NO_AUTO_INSTALL=1
RUN go build -trimpath -buildvcs=false -o /out/stein ./cmd/stein

FROM python:3.13-slim-bookworm AS simulator
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/stein/.venv
COPY requirements.txt /tmp/
RUN /opt/stein/.venv/bin/pip install -r /tmp/requirements.txt
COPY python_env /tmp/python_env
# The workers' part of the package needs nothing but what is there.
RUN /opt/stein/.venv/bin/pip install --no-deps /tmp/python_env

FROM python:3.13-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends libzmq5=4.3.4-6 libegl1 libegl-mesa0 libgl1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin stein \
    && install -d -o stein -g stein /runs /keys
COPY --from=simulator /opt/stein/.venv /opt/stein/.venv
COPY --from=build /out/stein /opt/stein/bin/stein
COPY deploy/train.sh /opt/stein/bin/train.sh
# MUJOCO_GL: pictures without a screen. The rest keeps Python from writing.
ENV PATH=/opt/stein/bin:/opt/stein/.venv/bin:$PATH \
    VIRTUAL_ENV=/opt/stein/.venv \
    GOMLX_NO_AUTO_INSTALL=1 \
    MUJOCO_GL=egl \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /runs
VOLUME /runs
EXPOSE 9100 50051 5600
# Whoever runs something else than a training says what to ask in STEIN_HEALTH.
ENV STEIN_HEALTH=http://127.0.0.1:9100/metrics
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=3 CMD ["stein", "health"]
ENTRYPOINT ["stein"]
CMD ["doctor"]
