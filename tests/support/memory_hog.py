"""A program that takes memory and gives it back, as a browser does, until it is ended.

`python -I memory_hog.py MIB MIB_A_SECOND HOLD_S PAUSE_S`: a script that imports nothing of ours.
"""

import sys
import time

STEP_MIB = 8


def main(size_mib: int, pace_mib: int, hold_s: float, pause_s: float) -> None:
    while True:
        time.sleep(pause_s)
        held: list[bytearray] = []
        while len(held) * STEP_MIB < size_mib:
            held.append(bytearray(b"x") * (STEP_MIB << 20))
            time.sleep(STEP_MIB / pace_mib)
        time.sleep(hold_s)
        held.clear()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
