"""What a stranger with Ray installed tries: to become a driver of the cluster and run a task. Arguments: HOST:PORT
MARKER OWN_ADDRESS. Prints what Ray said; Ray may also leave a stranger waiting, who then gives up without a word.
"""

import signal
import sys
from pathlib import Path

import ray
from ray.exceptions import RayError


def main(address: str, marker: str, own_address: str) -> None:
    try:
        ray.init(address=address, _node_ip_address=own_address, log_to_driver=False)
        ray.get(ray.remote(Path(marker).touch).remote(), timeout=10)
    except (RayError, ConnectionError, RuntimeError, ValueError) as error:
        print("refused", type(error).__name__)
    else:
        print("ran")


if __name__ == "__main__":
    signal.alarm(20)
    main(*sys.argv[1:])
