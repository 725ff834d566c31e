"""Who may read a space and who may change it, by what was granted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.grants import EVERYONE, checked, holds, maker, may_change, may_read, may_see, may_share
from cluster.key_order import OWNER
from cluster.knowledge import Counts, KnowledgeError, Reader, Store
from cluster.roles import Role

ANA = Reader("school", "k1", "teachers", "private", role="user")
ROLES: tuple[Role, ...] = ("admin", "operator", "user", "display")
readers = st.builds(
    Reader,
    st.sampled_from(("school", "clinic", OWNER)),
    st.sampled_from(("k1", "k2")),
    st.sampled_from(("teachers", "pupils", "")),
    st.just("private"),
    st.sampled_from((None, "ana", "ben")),
    role=st.sampled_from(ROLES),
)
grants = st.sampled_from(
    ("key:k1", "key:k2", "group:teachers", "group:pupils", "user:ana", "user:ben", "role:admin", "role:user", EVERYONE)
)
lists = st.lists(grants, unique=True, max_size=3).map(tuple)


def a_store(owners: tuple[str, ...] = (), readers: tuple[str, ...] = (), tenant: str = "school") -> Store:
    return Store("vs", tenant, "", "", {}, "e", 0.0, 0.0, Counts(), 0, owners=owners, readers=readers)


@given(readers, st.sampled_from(("school", OWNER)), lists, lists)
def test_only_whom_a_grant_names_reads_and_only_the_owners_grants_leave_their_tenant(
    reader: Reader, tenant: str, owners: tuple[str, ...], readers: tuple[str, ...]
) -> None:
    store = a_store(owners, readers, tenant)
    mine = {f"key:{reader.key_id}", f"group:{reader.group}", f"user:{reader.user}", f"role:{reader.role}", EVERYONE}
    at_home = reader.tenant == tenant
    reached = at_home or tenant == OWNER

    assert may_change(reader, store) == (reached and bool(mine & set(owners)))
    assert may_read(reader, store) == (reached and bool(mine & {*owners, *readers}))
    assert may_share(reader, store) == (may_change(reader, store) or (at_home and reader.role == "admin"))
    assert may_see(reader, store) == (may_read(reader, store) or may_share(reader, store))


@given(readers, lists, grants)
def test_one_grant_more_takes_nothing_from_anybody(reader: Reader, given: tuple[str, ...], more: str) -> None:
    before, after = a_store(readers=given), a_store(readers=(*given, more))

    assert may_read(reader, after) >= may_read(reader, before)
    assert may_change(reader, after) == may_change(reader, before)


def test_a_key_of_no_group_is_in_no_group_and_nobody_is_the_user_none() -> None:
    nobody = Reader("school", "k9", "", "private")

    assert not any(holds(nobody, grant) for grant in ("group:", "user:", "user:None", "key:", "nothing", ""))


def test_what_a_front_ends_user_makes_is_his_and_not_of_all_who_share_its_key() -> None:
    shared = Reader("school", "chat", "pupils", "private", user="ben")

    assert maker(shared) == "user:ben"
    assert not holds(Reader("school", "chat", "pupils", "private", user="eve"), maker(shared))
    assert maker(ANA) == "key:k1"


@pytest.mark.parametrize(
    "grant", ["", "ana", "key:", "tenant:school", "role:boss", "user:a\nb", "user:" + "a" * 300, "everyone:x"]
)
def test_what_is_no_grant_is_refused_with_those_there_are(grant: str) -> None:
    with pytest.raises(KnowledgeError) as refused:
        checked([grant], "readers")

    assert (refused.value.code, refused.value.param) == ("invalid_grant", "readers")


def test_a_key_that_was_rotated_keeps_what_it_owns() -> None:
    rotated = Reader("school", "k7", "teachers", "private", line="k1")

    assert may_change(rotated, a_store(owners=("key:k1",)))
    assert maker(rotated) == "key:k1"


def test_grants_stand_once_and_without_the_space_around_them() -> None:
    assert checked(["key:k1", " key:k1 ", "group:a b"], "readers") == ("key:k1", "group:a b")
