"""The three machines of `potluck up --demo`: a Mac Studio, a PC with an RTX 4090, and a server without a GPU. Pure.

Names of hardware say that it is simulated, wherever they are shown. Of the memory bandwidth that makers state (819,
1008 and 410 GB/s) engines are taken to reach a half, two thirds and a quarter: two sockets share theirs badly.
Operations are what prompts get of them: a third of what the GPUs could do, and less of what the processors could.
"""

from inventory.described import DescribedMachine, Pace
from inventory.hardware import GIB, Disk, Host, HostMemory, PoolId
from inventory.nvidia_facts import DriverFacts, GpuFacts, GpuMemory

TB = 10**12

MAC_STUDIO = DescribedMachine(
    name="mac-studio",
    host=Host("macos", "26.1 (simulated)", "arm64", "Apple M3 Ultra (simulated)", 32, 32, None),
    memory=HostMemory(512 * GIB, 11 * GIB),
    disk=Disk("/simulated/models", 4 * TB, 3 * TB),
    pace=Pace(read_bytes_s=400e9, operations_s=20e12, disk_bytes_s=6e9),
    sysctl=(
        ("hw.optional.arm64", "1"),
        ("hw.memsize", str(512 * GIB)),
        ("machdep.cpu.brand_string", "Apple M3 Ultra (simulated)"),
        ("iogpu.wired_limit_mb", str(448 * 1024)),
    ),
)

RTX4090 = DescribedMachine(
    name="rtx4090",
    host=Host("linux", "Ubuntu 26.04 (simulated)", "x86_64", "AMD Ryzen 9 7950X (simulated)", 16, 32, None),
    memory=HostMemory(64 * GIB, 5 * GIB),
    disk=Disk("/simulated/models", 2 * TB, TB),
    pace=Pace(read_bytes_s=650e9, operations_s=60e12, disk_bytes_s=5e9),
    driver=DriverFacts(
        "580.95 (simulated)",
        (
            GpuFacts(
                PoolId("vram:0"),
                "NVIDIA GeForce RTX 4090 (simulated)",
                "8.9",
                GpuMemory(24 * GIB, GIB // 2),
                processes=(),
            ),
        ),
    ),
)

POWEREDGE = DescribedMachine(
    name="poweredge",
    host=Host("linux", "Debian 13 (simulated)", "x86_64", "2 x Intel Xeon Gold 6346 (simulated)", 32, 64, None),
    memory=HostMemory(128 * GIB, 6 * GIB),
    disk=Disk("/simulated/models", 8 * TB, 6 * TB),
    pace=Pace(read_bytes_s=110e9, operations_s=1.5e12, disk_bytes_s=2e9),
)

DEMO_MACHINES = (POWEREDGE, MAC_STUDIO, RTX4090)  # the head's own first
