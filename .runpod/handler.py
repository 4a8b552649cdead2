"""The worker's entry where RunPod's Hub looks for it; the image runs the same program."""

from rvm_client.worker.__main__ import main

if __name__ == "__main__":
    main()
