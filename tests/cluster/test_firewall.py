import pytest

from cluster.firewall import FirewallPlan, NotAnAddressError, PortRange, checked_addresses, render

PLAN = FirewallPlan(
    members=("10.0.0.1", "10.0.0.2", "fd00::3"),
    guarded=(PortRange(8402, 8402, "node API"), PortRange(8410, 8416, "Ray")),
    open=(PortRange(8400, 8400, "the endpoint"),),
)


def test_nft_lets_members_and_loopback_in_and_drops_everybody_else() -> None:
    rules = render(PLAN, "nft").splitlines()

    order = [line.strip() for line in rules if line.strip().endswith(("accept", "drop"))]
    assert order == [
        'iifname "lo" accept',
        "tcp dport { 8402, 8410-8416 } ip saddr @members4 accept",
        "tcp dport { 8402, 8410-8416 } ip6 saddr @members6 accept",
        "tcp dport { 8402, 8410-8416 } drop",
    ]
    assert "  set members4 { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2 } }" in rules


def test_loading_the_nft_rules_twice_leaves_one_table() -> None:
    rules = render(PLAN, "nft").splitlines()

    assert rules.index("table inet potluck {}") < rules.index("delete table inet potluck")


def test_pf_says_the_same() -> None:
    rules = render(PLAN, "pf")

    assert "table <potluck_members> const { 10.0.0.1, 10.0.0.2, fd00::3 }" in rules
    assert 'guarded = "{ 8402, 8410:8416 }"' in rules
    assert rules.splitlines()[-1] == "block drop in quick proto tcp to any port $guarded"


def test_ports_that_stay_open_are_named_with_their_purpose() -> None:
    assert "# 8400 the endpoint: left open" in render(PLAN, "nft")


def test_each_address_counts_once_and_every_address_of_a_machine_is_none() -> None:
    assert checked_addresses(["10.0.0.1", "10.0.0.1", "0.0.0.0", "FD00:0::3"]) == ("10.0.0.1", "fd00::3")


def test_a_name_is_refused_with_what_to_do() -> None:
    with pytest.raises(NotAnAddressError, match=r"--member ADDRESS"):
        checked_addresses(["studio.local"])
