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
#
# With Beam's SDK harness, for the workers of a distributed Beam runner (`--beam-image`; with the
# newer generation --build-arg BEAM=2.77.0, too):
#
#     docker build -t REGISTRY/tfx-pcgrad-beam --target beam-worker .
#
# Without Docker: tools/build_image.sh.
ARG PYTHON=3.10
ARG DEBIAN=bookworm
ARG BEAM=2.74.0

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
# Headers and tests of other packages, half a gigabyte, are of no use in a step.
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --force-reinstall . \
    && packages=$(echo /opt/venv/lib/python*/site-packages) \
    && rm -rf "$packages/tensorflow/include" \
    && for name in matplotlib numpy pandas pyarrow scipy sklearn statsmodels; do \
        find "$packages/$name" -type d -name tests -prune -exec rm -rf {} +; done

FROM python:${PYTHON}-slim-${DEBIAN} AS steps
LABEL org.opencontainers.image.title="tfx-pcgrad" \
      org.opencontainers.image.description="Multi-task training in TensorFlow Extended with gradient surgery (PCGrad, PPCGrad)" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.licenses="Apache-2.0"
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

FROM apache/beam_python${PYTHON}_sdk:${BEAM} AS beam

FROM steps AS beam-worker
ARG BEAM
# A worker and the pipeline that it works for take the same Beam.
RUN python -c "import apache_beam; v = apache_beam.__version__; assert v == '${BEAM}', \
'the image has Beam ' + v + ': --build-arg BEAM=' + v"
COPY --from=beam /opt/apache/beam/boot /opt/apache/beam/boot
# The packages of this image, instead of an environment that is made at each start.
ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
ENTRYPOINT ["/opt/apache/beam/boot"]

# What is built without --target.
FROM steps
