"""The wire form of what the head publishes: one JSON object per line, tagged with its type."""

from dataclasses import dataclass

import msgspec

from cluster.snapshot import AccessSnapshot, ClusterSnapshot


@dataclass(frozen=True, slots=True)
class Publication:
    """One line of the feed. Both None is a heartbeat: the head is alive and nothing changed."""

    cluster: ClusterSnapshot | None = None
    access: AccessSnapshot | None = None


_decoder = msgspec.json.Decoder(Publication)
_encoder = msgspec.json.Encoder()


def encode_line(publication: Publication) -> bytes:
    return _encoder.encode(publication) + b"\n"


def decode_line(line: bytes) -> Publication:
    """Raises msgspec.DecodeError for a line that is not of this schema; the feed's reader reconnects."""
    return _decoder.decode(line)
