# One image for servers, workers, intakes and Flower: the command decides. Extras: --build-arg EXTRAS=celery,redis
FROM python:3.11-slim-bookworm AS build

ARG EXTRAS=captions,celery,flower,speech

WORKDIR /source
COPY pyproject.toml README.md LICENSE requirements.lock ./
COPY src src
COPY examples examples
COPY deploy/docker deploy/docker
RUN PIP_NO_CACHE_DIR=1 sh deploy/docker/install.sh /source /opt/callsheet "$EXTRAS"


FROM python:3.11-slim-bookworm

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --home-dir /data --shell /usr/sbin/nologin callsheet \
    && install --directory --owner=callsheet --group=callsheet --mode=0700 /data

COPY --from=build /opt/callsheet /opt/callsheet

ENV PATH=/opt/callsheet/bin:$PATH \
    HOME=/data \
    CALLSHEET_DATA_DIR=/data \
    CALLSHEET_HOST=0.0.0.0 \
    CALLSHEET_MONITOR_HOST=0.0.0.0 \
    FFMPEG_PATH=/opt/callsheet/bin/ffmpeg

USER 10001:10001
WORKDIR /data
# The only folder that is written to, besides /tmp: the root file system can be read-only.
VOLUME /data
EXPOSE 8500

# `callsheet up` and `serve`. A worker has CALLSHEET_MONITOR_PORT, and another port to ask: see docker-compose.yml.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["healthcheck", "8500"]

# tini passes SIGTERM to callsheet only, which lets running jobs end. Stop with a timeout of 60 seconds.
ENTRYPOINT ["tini", "--", "callsheet"]
CMD ["up"]
