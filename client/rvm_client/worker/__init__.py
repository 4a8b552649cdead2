"""The RunPod worker: `python -m rvm_client.worker`."""
