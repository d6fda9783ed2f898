# The image that every step of the pipeline runs in, on Kubeflow Pipelines and Vertex AI.
#
#     docker build -t REGISTRY/tfx-pcgrad .
#
# Two tested generations of TFX (see README.md): this one runs on every Linux kernel that Docker
# does; for the newer one
#
#     docker build -t REGISTRY/tfx-pcgrad --build-arg PYTHON=3.13 --build-arg DEBIAN=trixie .
#
# With CUDA's libraries, for steps that ask for an NVIDIA GPU:
#
#     docker build -t REGISTRY/tfx-pcgrad:gpu --build-arg GPU=1 .
ARG PYTHON=3.10
ARG DEBIAN=bookworm

# The full image has the compiler that one dependency of TFX (pyfarmhash) is built with.
FROM python:${PYTHON}-${DEBIAN} AS build
ARG GPU=
WORKDIR /source
RUN python -m venv /opt/venv
COPY requirements.lock requirements-gpu.lock pyproject.toml README.md LICENSE ./
# The dependencies first: this layer stays when only the code changes.
RUN mkdir -p pcgrad components/pcgrad_tfx pipelines/pcgrad_pipelines \
    && /opt/venv/bin/pip install --no-cache-dir --constraint requirements.lock \
        --constraint requirements-gpu.lock ".[tfx,kfp]" "tensorflow${GPU:+[and-cuda]}"
COPY pcgrad pcgrad
COPY components components
COPY pipelines pipelines
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --force-reinstall .

FROM python:${PYTHON}-slim-${DEBIAN}
COPY --from=build /opt/venv /opt/venv
# Where pipelines look for data that ship in a package, whatever the Python version.
RUN ln -s /opt/venv/lib/python*/site-packages /opt/site-packages \
    && useradd --create-home --uid 1000 tfx
ENV PATH=/opt/venv/bin:$PATH \
    TF_CPP_MIN_LOG_LEVEL=2
USER 1000
WORKDIR /home/tfx
# Any component: the arguments say which executor runs, on what.
ENTRYPOINT ["python", "-m", "pcgrad_tfx.kubeflow.entrypoint"]
