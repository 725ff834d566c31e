"""Where keys are made, changed for others and withdrawn: checked, written down, published to the gateways at once."""

import secrets
from collections.abc import Callable
from dataclasses import replace

import structlog

from cluster.key_order import OWNER, KeyOrder, KeyRefusedError, check
from cluster.key_records import KeyRecords, StoredKey
from cluster.keys import key_digest, new_key
from cluster.limits import Limits
from cluster.privacy import USUAL_RULES, PrivacyRules
from cluster.snapshot import KeyRecord
from cluster.totp import address_of, secret_of
from inventory.clock import Clock

log = structlog.get_logger("potluck.cluster.keys")


class KeyDesk:
    """Implements cluster.admin_keys.KeyControl. `publish` tells every gateway which keys there are."""

    def __init__(
        self,
        records: KeyRecords,
        pepper: bytes,
        clock: Clock,
        publish: Callable[[], None],
        cluster: Callable[[], str] = str,
        rules: Callable[[], PrivacyRules] = lambda: USUAL_RULES,
    ) -> None:
        """`cluster` is what the cluster is called: an authenticator app may know several. `rules`: the privacy classes
        that a key may have."""
        self._records, self._pepper, self._clock, self._publish, self._cluster = (
            records,
            pepper,
            clock,
            publish,
            cluster,
        )
        self._rules = rules

    def all(self) -> tuple[StoredKey, ...]:
        return self._records.all()

    def create(self, order: KeyOrder) -> tuple[KeyRecord, str]:
        """The record, and the key itself, which nobody can show again. Raises KeyRefusedError."""
        check(order, self._rules())
        if self._records.named(order.name) is not None:
            taken = f"there is a key called {order.name}; choose another name, or: potluck keys rotate {order.name}"
            raise KeyRefusedError(409, "name_taken", taken)
        now_s = int(self._clock.wall_s())
        blank = KeyRecord(
            key_id="",
            digest_hex="",
            role=order.role,
            tenant=order.tenant,
            group=order.group,
            data_class=order.data_class,
            created_s=now_s,
            expires_s=None if order.lifetime_s is None else now_s + order.lifetime_s,
            name=order.name,
            scopes=order.scopes,
            models=order.models,
            front_end=order.front_end,
            limits=order.limits,
            answers_kept_s=order.answers_kept_s,
            pii=order.pii,
        )
        return self._issue(blank, replaced=(), event="key_created")

    def rotate(self, name: str) -> tuple[KeyRecord, str]:
        """Another secret for the same rights. The key before it is refused from that moment. Raises KeyRefusedError."""
        record = self._known(name)
        if record.expires_s is not None and record.expires_s <= self._clock.wall_s():
            gone = f"{name} has expired, and a rotated key expires when it did; revoke it and create another"
            raise KeyRefusedError(409, "expired", gone)
        fresh = replace(record, created_s=int(self._clock.wall_s()), line=record.line or record.key_id)
        return self._issue(fresh, replaced=(record.key_id,), event="key_rotated")

    def limit(self, name: str, limits: Limits) -> KeyRecord:
        """From the next request on, in place of those it had. Raises KeyRefusedError."""
        record = self._known(name)
        self._records.limit(record.key_id, limits)
        self._publish()
        log.info("key_limited", key_id=record.key_id)
        return replace(record, limits=limits)

    def factor_on(self, name: str) -> tuple[KeyRecord, str]:
        """Another second factor, and its address, which nobody can show again. Raises KeyRefusedError."""
        record = self._named(name)
        salt = secrets.token_hex(16)
        self._records.set_totp(record.key_id, salt)
        self._publish()
        log.info("key_factor_on", key_id=record.key_id)
        address = address_of(secret_of(self._pepper, salt), name, self._cluster())
        return replace(record, totp=salt), address

    def factor_off(self, name: str) -> KeyRecord:
        """Raises KeyRefusedError."""
        record = self._named(name)
        self._records.set_totp(record.key_id, None)
        self._publish()
        log.info("key_factor_off", key_id=record.key_id)
        return replace(record, totp=None)

    def revoke(self, name: str) -> KeyRecord:
        """Raises KeyRefusedError."""
        record = self._known(name)
        self._records.revoke(record.key_id)
        self._publish()
        log.info("key_revoked", key_id=record.key_id)
        return record

    def _issue(self, blank: KeyRecord, replaced: tuple[str, ...], event: str) -> tuple[KeyRecord, str]:
        key_id, key = new_key()
        record = replace(blank, key_id=key_id, digest_hex=key_digest(self._pepper, key))
        self._records.put(record, replaced)
        self._publish()
        log.info(event, key_id=key_id, role=record.role)  # not its name: that may be a person's
        return record, key

    def _known(self, name: str) -> KeyRecord:
        if name == OWNER:
            message = "the owner's key has no limits and no end; it is replaced by: potluck keys rotate-owner"
            raise KeyRefusedError(409, "owner_key", message)
        return self._named(name)

    def _named(self, name: str) -> KeyRecord:
        record = self._records.named(name)
        if record is None:
            raise KeyRefusedError(404, "not_found", f"no key is called {name}; `potluck keys ls` shows which there are")
        return record
