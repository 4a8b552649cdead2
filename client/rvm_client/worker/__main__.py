"""`python -m rvm_client.worker`: the RunPod worker."""

from rvm_client.worker.handler import main

main()
