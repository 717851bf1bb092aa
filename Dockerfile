# docker build -t sreclip .                           torch for the CPU
# docker build -t sreclip --build-arg TORCH=cuda .    torch with CUDA
# docker run --rm -v "$PWD:/work" sreclip run         docs/install.md tells more
ARG PYTHON=3.11
FROM docker.io/library/python:${PYTHON}-slim AS requirements
ARG TORCH=cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
COPY requirements/demo.txt requirements/
COPY scripts/install_pinned.py scripts/
RUN python scripts/install_pinned.py --torch "$TORCH" --index "$TORCH_INDEX" requirements/demo.txt

FROM requirements AS wheel
COPY LICENSE README.md pyproject.toml ./
COPY sreclip sreclip
COPY workflow workflow
RUN python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheels .

FROM requirements
COPY --from=wheel /build/wheels /tmp/wheels
# Any user can run it, with a home folder for caches: docker run --user "$(id -u):$(id -g)"
RUN python -m pip install --quiet --no-deps --no-index /tmp/wheels/*.whl \
    && python -m pip check \
    && rm -r /tmp/wheels /build \
    && useradd --uid 1000 --home-dir /home/sreclip sreclip \
    && mkdir /home/sreclip /work \
    && chown sreclip /work \
    && chmod 1777 /home/sreclip
ENV HOME=/home/sreclip \
    USER=sreclip
USER 1000
WORKDIR /work
ENTRYPOINT ["sreclip"]
CMD ["--help"]
