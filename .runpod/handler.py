"""The worker's entry where RunPod's Hub looks for it; the image starts `scripts/start`."""

from rvm_client.worker.handler import main

if __name__ == "__main__":
    main()
