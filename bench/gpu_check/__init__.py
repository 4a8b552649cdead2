"""Whether everything works on an NVIDIA GPU, and how fast. Called by scripts/gpu-check."""
