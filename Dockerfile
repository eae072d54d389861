# One image for every role: `docker run lictor:0.1.0 worker detect`. See deploy/README.md.

FROM python:3.11-slim-bookworm AS build
# A compiler for the small C part of the data flow; it stays behind in this stage.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/* \
    && pip install --no-cache-dir uv==0.13.9
ENV UV_PROJECT_ENVIRONMENT=/opt/lictor \
    UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1
WORKDIR /src
# Dependencies first, exactly as locked: they change less often than the code.
COPY pyproject.toml uv.lock ./
COPY sdk/pyproject.toml sdk/
COPY native/pyproject.toml native/
RUN uv sync --frozen --no-dev --no-install-workspace
COPY . .
RUN uv sync --frozen --no-dev --no-editable

FROM python:3.11-slim-bookworm
# A fixed number, so that volumes keep their owner from one image to the next. Folders that volumes are mounted on are
# made here: a new volume takes over their owner and mode.
RUN groupadd --gid 10001 lictor \
    && useradd --uid 10001 --gid 10001 --home-dir /var/lib/lictor --no-create-home --shell /usr/sbin/nologin lictor \
    && install -d -o lictor -g lictor -m 0700 /var/lib/lictor /keys /given /given/detect /given/respond /given/profile /given/archive
COPY --from=build /opt/lictor /opt/lictor
ENV PATH=/opt/lictor/bin:$PATH \
    LICTOR_HOME=/var/lib/lictor \
    LICTOR_KEYS=/keys \
    PYTHONUNBUFFERED=1
WORKDIR /var/lib/lictor
USER 10001:10001
ENTRYPOINT ["lictor"]
