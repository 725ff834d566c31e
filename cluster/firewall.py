"""Firewall rules that leave the cluster's ports to its members, as text for nft and pf. Applied by the operator."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

FirewallFormat = Literal["nft", "pf"]


class NotAnAddressError(Exception):
    """A machine that is known by a name. Rules need addresses; the command prints this."""

    def __init__(self, host: str) -> None:
        super().__init__(f"{host!r} is a name, and firewall rules need addresses; give it with --member ADDRESS")
        self.host = host


@dataclass(frozen=True, slots=True)
class PortRange:
    first: int
    last: int
    purpose: str


@dataclass(frozen=True, slots=True)
class FirewallPlan:
    """`guarded` ports are for members alone; `open` ones are named, so that the operator may let clients in."""

    members: tuple[str, ...]
    guarded: tuple[PortRange, ...]
    open: tuple[PortRange, ...]


def checked_addresses(hosts: Sequence[str]) -> tuple[str, ...]:
    """Each address once, in canonical form. Raises NotAnAddressError."""
    found: dict[str, None] = {}
    for host in hosts:
        try:
            address = ip_address(host)
        except ValueError:
            raise NotAnAddressError(host) from None
        if not address.is_unspecified:
            found[str(address)] = None
    return tuple(found)


def render(plan: FirewallPlan, kind: FirewallFormat) -> str:
    return _nft(plan) if kind == "nft" else _pf(plan)


def _nft(plan: FirewallPlan) -> str:
    ports = ", ".join(_span(port, "-") for port in plan.guarded)
    lines = [
        *_comments(plan, "potluck firewall --format nft | sudo nft --file -"),
        "table inet potluck {}",
        "delete table inet potluck",
        "table inet potluck {",
        *_nft_set("members4", "ipv4_addr", _of_version(plan.members, 4)),
        *_nft_set("members6", "ipv6_addr", _of_version(plan.members, 6)),
        "  chain input {",
        "    type filter hook input priority filter - 5; policy accept;",
        '    iifname "lo" accept',
        f"    tcp dport {{ {ports} }} ip saddr @members4 accept",
        f"    tcp dport {{ {ports} }} ip6 saddr @members6 accept",
        f"    tcp dport {{ {ports} }} drop",
        "  }",
        "}",
    ]
    return "\n".join(lines)


def _nft_set(name: str, kind: str, addresses: Sequence[str]) -> list[str]:
    elements = f" elements = {{ {', '.join(addresses)} }}" if addresses else ""
    return [f"  set {name} {{ type {kind};{elements} }}"]


def _pf(plan: FirewallPlan) -> str:
    ports = ", ".join(_span(port, ":") for port in plan.guarded)
    lines = [
        *_comments(plan, "potluck firewall --format pf | sudo pfctl -a com.apple/potluck -f - && sudo pfctl -E"),
        f"table <potluck_members> const {{ {', '.join(plan.members)} }}",
        f'guarded = "{{ {ports} }}"',
        "pass in quick on lo0 proto tcp to any port $guarded",
        "pass in quick proto tcp from <potluck_members> to any port $guarded",
        "block drop in quick proto tcp to any port $guarded",
    ]
    return "\n".join(lines)


def _comments(plan: FirewallPlan, usage: str) -> list[str]:
    return [
        f"# {usage}",
        *(f"# {_span(port, '-')} {port.purpose}: members only" for port in plan.guarded),
        *(f"# {_span(port, '-')} {port.purpose}: left open" for port in plan.open),
    ]


def _span(port: PortRange, dash: str) -> str:
    return str(port.first) if port.first == port.last else f"{port.first}{dash}{port.last}"


def _of_version(addresses: Sequence[str], version: int) -> list[str]:
    return [address for address in addresses if ip_address(address).version == version]
