# The relay as an image: small, locked by hashes, for amd64 and arm64, read-only but for /data, and anybody's uid.
# tests/image builds and runs it, on the Python of the Debian release named here.
FROM python:3.13.16-slim-trixie@sha256:bf44cdfcb76cd3b41e879bc058fc37ec5872002ccfde7fcb765e218cde0cd79c AS base


FROM base AS builder
ENV PYTHONDONTWRITEBYTECODE=1
WORKDIR /src

# pip's own settings, for who builds behind a mirror or without a network: --secret id=pip,src=pip.conf.
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python -m venv /build \
    && python -m venv --without-pip /opt/relay \
    && /build/bin/pip install --no-cache-dir --no-compile --require-hashes -r requirements/build.txt \
    && /build/bin/pip --python /opt/relay/bin/python install --no-cache-dir --no-compile --only-binary :all: \
        --require-hashes -r requirements/runtime.txt

COPY CHANGELOG.md LICENSE README.md pyproject.toml ./
COPY relay relay
RUN /build/bin/pip wheel --no-cache-dir --no-index --no-deps --no-build-isolation --wheel-dir /build/dist . \
    && /build/bin/pip --python /opt/relay/bin/python install --no-cache-dir --no-compile --no-index --no-deps \
        --find-links /build/dist flux-relay

# The image writes no bytecode and its Python brings none: all that a start imports is compiled here, to be believed
# without a look at the source, whose time stamp differs from build to build.
RUN stdlib=$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))') \
    && PYTHONPYCACHEPREFIX=/opt/relay/bytecode python -m compileall -q --invalidation-mode unchecked-hash \
        -x '/(ensurepip|idlelib|pip|test|tests|tkinter|turtledemo)/' /opt/relay/lib "$stdlib"


FROM base
LABEL org.opencontainers.image.title="The relay" \
    org.opencontainers.image.description="Keeps a Discord channel reconciled with what is wrong in a Kubernetes cluster." \
    org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/relay/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPYCACHEPREFIX=/opt/relay/bytecode \
    RELAY_DATABASE_URL=sqlite:////data/relay.db \
    RELAY_LISTEN=0.0.0.0:8080
# Group 0 may write too: whoever is given another uid by a platform keeps this group.
RUN ["install", "--directory", "--owner=65532", "--group=0", "--mode=0770", "/data"]
COPY --from=builder /opt/relay /opt/relay
USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["relay", "health"]
ENTRYPOINT ["relay"]
CMD ["serve"]
