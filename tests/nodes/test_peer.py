import pytest

from nodes.peer import NotAPeerError, Peer, peer_of


def certificate(*uris: str) -> dict[str, object]:
    names = (("DNS", "mac.node.potluck"), *(("URI", uri) for uri in uris), ("IP Address", "127.0.0.1"))
    return {"subjectAltName": names, "serialNumber": "0AbC"}


def test_a_peer_is_what_its_certificate_says() -> None:
    assert peer_of(certificate("potluck://home/node/mac")) == Peer("home", "node", "mac", "ABC")


@pytest.mark.parametrize(
    "uris",
    [
        (),
        ("potluck://home/node/mac", "potluck://home/controller/head"),
        ("https://home/node/mac",),
        ("potluck://home/owner/mac",),
        ("potluck://home/node/",),
        ("potluck://home/node",),
        ("potluck:///node/mac",),
        ("potluck://home/node/mac/controller",),
    ],
)
def test_a_certificate_that_names_no_single_role_is_nobodys(uris: tuple[str, ...]) -> None:
    with pytest.raises(NotAPeerError):
        peer_of(certificate(*uris))


def test_no_certificate_is_nobody() -> None:
    with pytest.raises(NotAPeerError):
        peer_of(None)
