# The container of smime-proxy: docs/container.md says how it is used.
#
# The interpreter is Debian's, the very one the tests run with, patched with the system. Pin the base by digest with
# --build-arg DIGEST=@sha256:..., or take it from elsewhere with --build-arg BASE=registry.example/debian.
ARG BASE=docker.io/library/debian
ARG TAG=12.15-slim
ARG DIGEST=

# ---- what both stages stand on ----------------------------------------------------------------
FROM ${BASE}:${TAG}${DIGEST} AS python
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get upgrade --yes --no-install-recommends \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/* /var/log/apt /var/log/*.log \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +

# ---- the virtual environment; pip and the build system stay behind ----------------------------
FROM python AS build
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3-venv
WORKDIR /build
RUN python3 -m venv --without-pip /opt/smime-proxy && python3 -m venv /build/tools
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1

# Packages come as wheels with the hashes of the lock, so nothing is compiled and no script of theirs runs here.
# An index of one's own, with its authority: --secret id=pip.conf,src=... --secret id=pip-ca.pem,src=...
COPY requirements.lock requirements-build.lock requirements-dev.lock ./
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=pip-ca.pem \
    tools/bin/pip --quiet install --require-hashes --only-binary=:all: --requirement requirements-build.lock \
    && tools/bin/pip --python /opt/smime-proxy/bin/python --quiet install --no-compile --no-deps --require-hashes --only-binary=:all: \
        --requirement requirements.lock

# "pkcs11" adds what speaks to tokens; the library of the token's maker is added by who has one.
ARG EXTRAS=
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=pip-ca.pem \
    case ",$EXTRAS," in \
    *,pkcs11,*) sed -n '/^python-pkcs11==/,/[^\\]$/p' requirements-dev.lock > pkcs11.lock \
        && tools/bin/pip --python /opt/smime-proxy/bin/python --quiet install --no-compile --no-deps --require-hashes --only-binary=:all: \
            --requirement pkcs11.lock ;; \
    ,,) ;; \
    *) echo "EXTRAS knows only pkcs11" >&2; exit 1 ;; \
    esac

COPY pyproject.toml README.md LICENSE ./
COPY smime_proxy smime_proxy
# Compiled whole: a root file system that cannot be written to keeps no cache. The files are trusted as they lie, without
# a look at times of modification, which builders change.
RUN tools/bin/pip --quiet wheel --no-deps --no-build-isolation --no-index --wheel-dir . . \
    && tools/bin/pip --python /opt/smime-proxy/bin/python --quiet install --no-compile --no-deps --no-index smime_proxy-*.whl \
    && find /opt/smime-proxy/bin -type f ! -name smime-proxy -delete \
    && find /opt/smime-proxy/lib -type d -name tests -prune -exec rm -r {} + \
    && rm -r /opt/smime-proxy/include \
    && /opt/smime-proxy/bin/python -m compileall -q --invalidation-mode unchecked-hash -j 0 /opt/smime-proxy/lib

# What the image holds: Debian's packages as the last stage has them, and what was installed here.
COPY --from=python /var/lib/dpkg /build/dpkg
COPY deploy/container/sbom.py ./
RUN /opt/smime-proxy/bin/python sbom.py /build/dpkg > sbom.cdx.json

# ---- what runs ----------------------------------------------------------------------------------
FROM python
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="smime-proxy" \
      org.opencontainers.image.description="SMTP proxy that signs, encrypts, decrypts and verifies an organisation's mail with S/MIME" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Whoever the user is can make the state: some platforms choose one, and engines give a tmpfs the mode of what it covers.
# Nobody else is in a container, and what is written there is readable only to its owner.
RUN groupadd --gid 10001 smime-proxy \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/smime-proxy --shell /usr/sbin/nologin smime-proxy \
    && install --directory --owner=10001 --group=10001 --mode=1777 /var/lib/smime-proxy \
    && install --directory /etc/smime-proxy /run/secrets /usr/share/doc/smime-proxy
COPY --from=build /opt/smime-proxy /opt/smime-proxy
COPY LICENSE config/smime-proxy.toml /usr/share/doc/smime-proxy/
COPY --from=build /build/sbom.cdx.json /usr/share/doc/smime-proxy/
ENV PATH=/opt/smime-proxy/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["smime-proxy", "healthcheck"]
ENTRYPOINT ["smime-proxy"]
CMD ["serve"]
