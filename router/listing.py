"""Lists in parts, as OpenAI's clients ask for them: after or before one that they know."""

from typing import NamedTuple

from router.errors import invalid


class Slice(NamedTuple):
    """What a client wants of a list: so many, after the one that it had last, or before the one that it had first."""

    after: str | None
    limit: int
    oldest_first: bool = False
    before: str | None = None

    def of(self, ids: list[str]) -> tuple[list[str], bool]:
        """Of ids, the youngest first; and whether there are more. Raises ApiError 400 where `after` or `before` is none
        of them."""
        order = ids[::-1] if self.oldest_first else ids
        for name, known in (("after", self.after), ("before", self.before)):
            if known is not None and known not in order:
                raise invalid(f"`{name}` is none of these", name)
        begin = 0 if self.after is None else order.index(self.after) + 1
        end = len(order) if self.before is None else order.index(self.before)
        part = order[begin:end]
        found = part[-self.limit :] if self.before is not None and self.after is None else part[: self.limit]
        return found, len(part) > len(found)
