# docker build --build-arg VERSION=0.12.0 --build-arg REVISION=$(git rev-parse HEAD) -t employee-time-tracking .
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS dependencies
WORKDIR /build
COPY constraints.txt pyproject.toml README.md ./
# Uninstall the service itself. It runs from /srv, and its folder alembic/ would shadow the package alembic. Also
# uninstall what python-jose requires but we never import, so that its vulnerabilities are not in the image.
RUN mkdir app \
    && python -m venv --without-pip /opt/ett \
    && pip --python /opt/ett/bin/python install --no-cache-dir -c constraints.txt . \
    && pip --python /opt/ett/bin/python uninstall --yes employee-time-tracking-api ecdsa rsa pyasn1

FROM ${PYTHON} AS service
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Employee Time Tracking API" \
      org.opencontainers.image.description="Who worked when, exact to the second: clock in, clock out, team hours, CSV for payroll." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN python -m pip uninstall --yes --root-user-action=ignore pip setuptools wheel \
    && groupadd --system --gid 10001 ett \
    && useradd --system --uid 10001 --gid ett --no-create-home --home-dir /data --shell /usr/sbin/nologin ett \
    && install --directory --owner=ett --group=ett --mode=0700 /data
# Fonts for names in any script on timesheets. Not pinned, so that each build installs Debian's current ones.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends fonts-noto-core fonts-noto-cjk fonts-noto-color-emoji \
    && rm -rf /var/lib/apt/lists/*
COPY --from=dependencies /opt/ett /opt/ett
COPY alembic.ini run_backend.py check_backend.py /srv/
COPY alembic /srv/alembic
COPY app /srv/app
RUN /opt/ett/bin/python -m compileall -q /srv

# The service writes to its working directory only: the SQLite file and the signing key if they are not configured,
# spool files of exports, and the metrics of the workers. Each start empties the metrics folder, so that a killed
# container leaves no stale files. The rest of the file system may be read-only.
ENV PATH=/opt/ett/bin:$PATH \
    PYTHONPATH=/srv \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TMPDIR=/data \
    PROMETHEUS_MULTIPROC_DIR=/data/metrics \
    HOST=0.0.0.0 \
    PORT=8000
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 CMD ["python", "/srv/check_backend.py"]
CMD ["python", "/srv/run_backend.py"]

# For backup and restore, which need the client programs of PostgreSQL in the server's major version.
FROM service AS backup
USER 0:0
# Not pinned, so that each build installs Debian's current security updates.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-client-15 \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner=ett --group=ett --mode=0700 /backups
USER 10001:10001
VOLUME /backups

# The default target.
FROM service
