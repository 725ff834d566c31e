"""Where state lives: one root, private to its owner, with a fixed place for everything."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

DEMO_MARK = "SIMULATED"  # a file of this name says that a root is a demo's, which may be deleted
SOCKET_PATH_LIMIT = 100  # sun_path holds 104 bytes on macOS and 108 on Linux, the terminating zero included


def default_state_dir() -> Path:
    """POTLUCK_STATE_DIR, or the platform's user state directory."""
    configured = os.environ.get("POTLUCK_STATE_DIR")
    if configured:
        return Path(configured).expanduser()
    import platformdirs  # `--help` asks for no directory

    return platformdirs.user_state_path("potluck", appauthor=False)


@dataclass(frozen=True, slots=True)
class StatePaths:
    """Paths below one state directory. Nothing is created until `ensure` is called."""

    root: Path

    @classmethod
    def at(cls, root: Path | None = None) -> "StatePaths":
        return cls((root or default_state_dir()).absolute())

    def ensure(self) -> "StatePaths":
        """Create the directories, mode 0700, and take group and other bits off a root that has them."""
        for path in (self.root, self.models, self.leases, self.logs, self.run, self.secrets, self.gateway):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.chmod(0o700)
        self.socket_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = self.socket_dir.stat()
        if facts.st_uid != os.getuid() or stat.S_IMODE(facts.st_mode) & 0o077:
            raise PermissionError(f"{self.socket_dir} is not private to this user; remove it and start again")
        return self

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def is_demo(self) -> bool:
        return (self.root / DEMO_MARK).exists()

    @property
    def engines(self) -> Path:
        """Engine environments; POTLUCK_ENGINES_DIR shares them between state directories, but never with a demo."""
        shared = None if self.is_demo else os.environ.get("POTLUCK_ENGINES_DIR")
        return Path(shared).expanduser().absolute() if shared else self.root / "engines"

    @property
    def demo(self) -> "StatePaths":
        """Of `potluck up --demo`: a cluster of its own, which keeps nothing."""
        return StatePaths(self.root / "demo")

    @property
    def leases(self) -> Path:
        return self.root / "leases"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Locks and process records of the running services."""
        return self.root / "run"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def identity(self) -> Path:
        """Keys and certificates of this machine's roles, and the CA they trust."""
        return self.root / "identity"

    @property
    def ca(self) -> Path:
        """The cluster's certificate authority; on the head only."""
        return self.root / "ca"

    @property
    def sealed(self) -> Path:
        """Sealed mode: what this machine may reach, and who tried what."""
        return self.root / "sealed"

    @property
    def gateway(self) -> Path:
        """The gateway's own memory: the last snapshots it received."""
        return self.root / "gateway"

    @property
    def sightings(self) -> Path:
        """Which machines were sent what is bound to zones, while the head's audit has not heard of it."""
        return self.gateway / "sightings.jsonl"

    @property
    def rates(self) -> Path:
        """How fast this machine's engines were when they first started."""
        return self.engines / "rates.json"

    @property
    def registry_db(self) -> Path:
        return self.root / "registry.db"

    @property
    def telemetry_db(self) -> Path:
        return self.root / "telemetry.db"

    @property
    def cache_db(self) -> Path:
        return self.root / "cache.db"

    @property
    def batches_db(self) -> Path:
        """Batches and files that clients gave this machine's gateway."""
        return self.root / "batches.db"

    @property
    def batch_files(self) -> Path:
        """What is in those files."""
        return self.root / "batch-files"

    @property
    def library_db(self) -> Path:
        """Vector stores and their files, of this machine's gateway: how each stands, and folders that are read."""
        return self.root / "library.db"

    @property
    def rag_db(self) -> Path:
        """What was read of them: texts and vectors."""
        return self.root / "rag.db"

    @property
    def pseudonyms_db(self) -> Path:
        """What stands in documents of this machine's gateway for personal data, sealed."""
        return self.root / "pseudonyms.db"

    @property
    def audit_db(self) -> Path:
        """Who did what; on the head only."""
        return self.root / "audit.db"

    @property
    def audit_subjects_db(self) -> Path:
        """Keys of the persons and addresses that audit.db speaks of."""
        return self.root / "audit-subjects.db"

    @property
    def audit_key(self) -> Path:
        """Signs what audit.db says it holds."""
        return self.secrets / "audit.key"

    @property
    def audit_checkpoints(self) -> Path:
        """On a member: what the head's audit had come to, so that nobody there can write it anew unseen."""
        return self.root / "audit-checkpoints"

    @property
    def config_file(self) -> Path:
        return self.root / "cluster.yaml"

    @property
    def node_name(self) -> Path:
        """This machine's name in the cluster, once it was chosen."""
        return self.root / "node-name"

    @property
    def owner_key(self) -> Path:
        return self.root / "owner.key"

    @property
    def pepper(self) -> Path:
        return self.secrets / "pepper"

    @property
    def ray_token(self) -> Path:
        """What every connection of Ray must show; the same on all machines of a cluster."""
        return self.secrets / "ray-token"

    @property
    def socket_dir(self) -> Path:
        """Sockets lie in run/, or in a private short directory when run/ is too deep for a socket address."""
        if len(os.fsencode(self.run)) + len("/gateway.sock") <= SOCKET_PATH_LIMIT:
            return self.run
        import hashlib  # a rare case; both take longer to load than all else here
        import tempfile

        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"potluck-{os.getuid()}-{digest}"

    @property
    def node_socket(self) -> Path:
        return self.socket_dir / "node.sock"

    @property
    def head_socket(self) -> Path:
        return self.socket_dir / "head.sock"
