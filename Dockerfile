# docker build -t spinelift .            see docs/install.md
# Another Python, more extras: docker build --build-arg PYTHON=3.11 --build-arg EXTRAS=jpeg,mri,cohort .
# PACKAGES: of Debian; the extras report, dicom and serve need libpango-1.0-0 and libpangoft2-1.0-0.
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
ARG EXTRAS=jpeg,mri
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir dist .
RUN python -m venv /opt/spinelift
RUN /opt/spinelift/bin/python -m pip install --no-cache-dir "$(echo dist/*.whl)[${EXTRAS}]"

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="spinelift" \
      org.opencontainers.image.description="Lifts the spine from a single 2D DXA scan into 3D" \
      org.opencontainers.image.licenses="Apache-2.0"
ARG PACKAGES=
RUN test -z "${PACKAGES}" || { apt-get update && apt-get install -y --no-install-recommends ${PACKAGES} && \
    rm -rf /var/lib/apt/lists/*; }
COPY --from=build /opt/spinelift /opt/spinelift
# Any user can run it: nothing is written but results and, in /tmp, caches.
ENV PATH=/opt/spinelift/bin:$PATH HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /data
ENTRYPOINT ["spinelift"]
CMD ["--help"]
