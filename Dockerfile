# One image; MARTECH_MODULES decides what it is (default: everything, on SQLite in /data).
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /venv
COPY requirements.lock .
RUN /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY src src
RUN /venv/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin martech \
    && install -d -o martech -g martech /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MARTECH_HOST=0.0.0.0 \
    MARTECH_PORT=8000 \
    MARTECH_DATABASE_URL=sqlite:////data
USER martech
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['MARTECH_PORT']}/health/live\", timeout=2)"]
ENTRYPOINT ["martech"]
CMD ["serve"]
