# Drawdown in a container: `docker build -t drawdown .`
# The image has no database inside its layers; give it DATABASE_URL, or a volume on /data for the
# embedded PostgreSQL.
FROM python:3.11-slim AS build
WORKDIR /source
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/drawdown
COPY pyproject.toml hatch_build.py constraints.txt README.md LICENSE ./
COPY client client
COPY ledger ledger
COPY rating rating
COPY migrations migrations
RUN /opt/drawdown/bin/pip install -c constraints.txt ./client '.[parquet]'

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home --home-dir /data drawdown
COPY --from=build /opt/drawdown /opt/drawdown
ENV PATH=/opt/drawdown/bin:$PATH PYTHONUNBUFFERED=1 DRAWDOWN_DATA_DIR=/data/ledger
USER drawdown
VOLUME /data
EXPOSE 8433 9464
ENTRYPOINT ["drawdown"]
CMD ["serve"]
