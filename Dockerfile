# The base image for services: Debian's Python with `launcher` as PID 1 (the last stage), and beside it the image
# in which downstream builds and tests (`--target launcher-dev`). They share the interpreter's path and /opt/venv:
#
#   FROM launcher-dev AS build
#   RUN pip install --require-hashes -r requirements.txt     # goes to /opt/venv
#   FROM launcher
#   COPY --from=build /opt/venv /opt/venv
#   COPY app.py /app/
#   CMD ["run", "app:api=4"]
#
# Where the package registries are behind a private CA or a mirror, both come in as build secrets, into no layer:
#   docker build --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt --secret id=pip,src=pip.conf .
ARG BASE_IMAGE=debian:trixie-slim


# ---- the interpreter, the same in every stage
FROM ${BASE_IMAGE} AS python
# python3-minimal would not do: no asyncio, and eventlet wants it.
RUN --mount=type=bind,source=tools/apt,target=/tmp/apt \
    --mount=type=secret,id=ca \
    --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    /tmp/apt python3 ca-certificates netbase tzdata
ENV LANG=C.UTF-8 \
    PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt


# ---- pip, which stays out of the final image
FROM python AS pip
RUN --mount=type=bind,source=tools/apt,target=/tmp/apt \
    --mount=type=secret,id=ca \
    --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    set -eu; \
    /tmp/apt python3-venv; \
    python3 -m venv /opt/dev; \
    python3 -m venv --without-pip /opt/venv; \
    # The tools see the application's packages, and never the other way round.
    echo /opt/venv/lib/python3*/site-packages >"$(echo /opt/dev/lib/python3*/site-packages)/application.pth"
# A secret `ca` is mounted over Debian's bundle where pip needs it; without one, Debian's bundle it is.
ENV PATH=/opt/venv/bin:/opt/dev/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    PIP_CONFIG_FILE=/run/secrets/pip \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore


# ---- the compiler, and what our program starts with
FROM pip AS compiler
RUN --mount=type=bind,source=tools/apt,target=/tmp/apt \
    --mount=type=secret,id=ca \
    --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    /tmp/apt gcc libc6-dev python3-dev procps
COPY bin/start.c /tmp/
RUN cc -Os -static -nostdlib -ffreestanding -s -o /tmp/launcher-start /tmp/start.c


# ---- the run time's dependencies in /opt/venv
FROM pip AS dependencies
COPY requirements/build.txt requirements/run.txt /tmp/requirements/
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=secret,id=pip \
    --mount=type=cache,target=/root/.cache/pip \
    set -eu; \
    /opt/dev/bin/python -m pip install --no-compile --require-hashes -r /tmp/requirements/build.txt; \
    export PIP_PYTHON=/opt/venv/bin/python; \
    /opt/dev/bin/pip install --no-compile --require-hashes -r /tmp/requirements/run.txt; \
    # pbr names it, and nothing imports it at run time.
    /opt/dev/bin/pip uninstall --yes setuptools; \
    # A read-only container cannot write bytecode, and unchecked saves a stat a module at each start.
    python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib


# ---- our own wheel, into /opt/venv
FROM dependencies AS builder
COPY pyproject.toml README.md LICENSE /tmp/source/
COPY --from=compiler /tmp/launcher-start /opt/venv/bin/
COPY bin /tmp/source/bin
COPY launcher /tmp/source/launcher
RUN set -eu; \
    /opt/dev/bin/pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /tmp/wheel /tmp/source; \
    /opt/dev/bin/pip --python /opt/venv/bin/python install --no-compile --no-deps --no-index /tmp/wheel/*.whl; \
    # pip knows nothing of what has to run before Python; bin/start.c says why.
    sed -i '1s|.*|#!/opt/venv/bin/launcher-start /opt/venv/bin/python3|' /opt/venv/bin/launcher; \
    python3 -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib/python3*/site-packages/launcher


# ---- where downstream builds and tests
FROM compiler AS launcher-dev
COPY requirements/test.txt /tmp/requirements/
COPY --from=dependencies /opt/venv /opt/venv
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=secret,id=pip \
    --mount=type=cache,target=/root/.cache/pip \
    /opt/dev/bin/python -m pip install --require-hashes -r /tmp/requirements/test.txt
COPY --from=builder /opt/venv /opt/venv
# For work outside of containers: what is called `launcher` on the package index is something else.
COPY --from=builder /tmp/wheel /usr/share/launcher
# So that a plain `pip install` goes where the final image will find it.
ENV PIP_PYTHON=/opt/venv/bin/python
WORKDIR /usr/src/launcher
# Without launcher/: the tests shall meet the installed package.
COPY pyproject.toml ./
COPY examples ./examples
COPY tests ./tests
LABEL org.opencontainers.image.title="launcher-dev" \
      org.opencontainers.image.description="Where services for the launcher image are built and tested" \
      org.opencontainers.image.licenses="Apache-2.0"
CMD ["bash"]


# ---- the base image
FROM python AS launcher
# Any UID works (group 0 is given to UIDs without an entry); nothing may gain privileges.
RUN set -eu; \
    echo 'launcher:x:10001:0:launcher:/tmp:/usr/sbin/nologin' >>/etc/passwd; \
    install -d -o 10001 -g 0 -m 0775 /run/launcher; \
    find / -xdev \( -type f -o -type d \) -perm /6000 -exec chmod a-s {} +
COPY --from=builder /opt/venv /opt/venv
# HOME is where libraries put what they may lose; nothing is ever imported from there.
ENV HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONNOUSERSITE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
# Numeric, so that Kubernetes can tell that it is not root.
USER 10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --start-interval=1s --retries=3 CMD ["launcher", "healthcheck"]
ENTRYPOINT ["launcher"]
CMD ["run"]
ARG BASE_IMAGE
ARG VERSION=0.1.0
ARG REVISION=""
ARG CREATED=""
LABEL org.opencontainers.image.title="launcher" \
      org.opencontainers.image.description="PID 1 and pre-fork supervisor for Python services" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
