# Verbatim in a container. It needs nothing but this repository:
#   docker build -t verbatim . && docker run --rm --read-only --tmpfs /tmp -p 7860:7860 verbatim --rate-limit 120
FROM python:3.11-slim

WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements.txt
COPY app.py LICENSE NOTICE ./
COPY qa qa
COPY ui ui
COPY examples examples
COPY models models

# Nobody in here owns anything or has a home.
USER 65534:65534
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=7860
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"GRADIO_SERVER_PORT\"]}/health', timeout=4)"]
ENTRYPOINT ["python", "app.py", "--no-fetch"]
