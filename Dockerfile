# The reading room and the command line in one image. Build context: the repository's root.
FROM python:3.11-slim

RUN useradd --create-home --uid 10001 medproto \
    && install -d -o medproto -g medproto -m 0700 /var/lib/medproto

WORKDIR /opt/medproto
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY medproto medproto
COPY audit audit
COPY ui ui
COPY configs configs
# Editable: the demo reads its configuration beside the packages.
RUN pip install --no-cache-dir --disable-pip-version-check -c constraints.txt -e .

USER medproto
ENV MEDPROTO_HOME=/var/lib/medproto \
    PYTHONUNBUFFERED=1
VOLUME /var/lib/medproto
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]

# 0.0.0.0 is the container's own network: docker-compose.yml publishes the port on the host's loopback alone.
CMD ["medproto", "ui", "--address", "0.0.0.0"]
