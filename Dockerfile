# docker build --build-arg VERSION=0.9.0 --build-arg REVISION=$(git rev-parse HEAD) -t employee-time-tracking .
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS dependencies
WORKDIR /build
COPY constraints.txt pyproject.toml README.md ./
# The service itself runs from /srv: installed, its alembic/ would hide the package of that name.
RUN mkdir app \
    && python -m venv --without-pip /opt/ett \
    && pip --python /opt/ett/bin/python install --no-cache-dir -c constraints.txt . \
    && pip --python /opt/ett/bin/python uninstall --yes employee-time-tracking-api

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
COPY --from=dependencies /opt/ett /opt/ett
COPY alembic.ini run_backend.py check_backend.py /srv/
COPY alembic /srv/alembic
COPY app /srv/app
RUN /opt/ett/bin/python -m compileall -q /srv

# Everything that is written goes to the working directory: the SQLite file and the signing key where no others are set,
# what an export has ahead of its reader, and the workers' metrics, in a folder that each start empties, so that one that
# was killed leaves nothing for good. The rest of the file system may be read-only.
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

# The commands that need PostgreSQL's own programs, of the server's major version: backup and restore.
FROM service AS backup
USER 0:0
# Whatever Debian has patched by now.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-client-15 \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner=ett --group=ett --mode=0700 /backups
USER 10001:10001
VOLUME /backups

# What is built where no stage is named.
FROM service
