import pytest

from cluster.snapshot import AccessSnapshot
from router.access import KeyRing
from router.errors import ApiError
from support.gateway import KEY, PEPPER, key_record

OTHER = "pl_other2_" + "t" * 43


def ring(*keys: str, expires_s: int | None = None) -> KeyRing:
    records = tuple(key_record(key, expires_s) for key in keys)
    return KeyRing(AccessSnapshot(1, 1, 1, "unused", records), PEPPER.encode())


def bearer(key: str) -> bytes:
    return f"Bearer {key}".encode()


def test_a_key_names_its_holder_by_either_header() -> None:
    keys = ring(KEY, OTHER)

    for _ in range(2):  # verified, then remembered
        assert keys.identify(bearer(KEY), None, 0).key_id == "owner1"
        assert keys.identify(None, OTHER.encode(), 0).key_id == "other2"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "missing_api_key"),
        (b"", "invalid_api_key"),
        (b"Bearer", "invalid_api_key"),
        (b"Bearer ", "invalid_api_key"),
        (b"Basic " + KEY.encode(), "invalid_api_key"),
        (KEY.encode(), "invalid_api_key"),
        (bearer(KEY + "x"), "invalid_api_key"),
        (bearer(KEY[:-1]), "invalid_api_key"),
        (bearer(KEY.replace("owner1", "other2")), "invalid_api_key"),
        (bearer(KEY.replace("pl_", "sk_")), "invalid_api_key"),
        (bearer("pl_owner1"), "invalid_api_key"),
        (b"Bearer \xff\xfe", "invalid_api_key"),
        (bearer("p" * 10_000), "invalid_api_key"),
    ],
)
def test_anything_else_is_refused(header: bytes | None, code: str) -> None:
    with pytest.raises(ApiError) as caught:
        ring(KEY).identify(header, None, 0)

    assert (caught.value.status, caught.value.code) == (401, code)


def test_a_remembered_key_still_expires() -> None:
    keys = ring(KEY, expires_s=100)
    keys.identify(bearer(KEY), None, 99.9)

    with pytest.raises(ApiError):
        keys.identify(bearer(KEY), None, 100.0)


def test_rotation_forgets_what_was_verified() -> None:
    ring(KEY).identify(bearer(KEY), None, 0)

    with pytest.raises(ApiError):
        ring(OTHER).identify(bearer(KEY), None, 0)
