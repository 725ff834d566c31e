"""The section `access.oidc` of cluster.yaml: logins at the dashboard by an OpenID provider of the operator's."""

from typing import Annotated

from pydantic import Field, model_validator

from cluster.config_section import Section
from cluster.config_values import Duration, IssuersTenant, Origin, PublicName, Url
from cluster.roles import Role

ClaimValue = Annotated[str, Field(min_length=1, max_length=256)]


class PeopleSection(Section):
    """Of whom a claim says one of these is given this role. A rule on `email` holds only for an address that the
    issuer calls verified."""

    claim: str = Field(min_length=1, max_length=128)
    """`groups`, `sub`, `email` or another; dots lead into it: `realm_access.roles`."""
    any_of: tuple[ClaimValue, ...] = Field(min_length=1, max_length=1024)
    """The claim's text, or one of its list's."""
    role: Role = "display"
    group: PublicName = "default"


class OidcSection(Section):
    """Login at the dashboard by OpenID Connect: authorization code with PKCE. Whom no rule names is not let in. The
    gateway asks the issuer, and nobody else; API keys work as before."""

    issuer: Url
    """As the issuer writes itself, in its discovery document and as `iss`. https, or http on this machine."""
    client_id: str = Field(min_length=1, max_length=256)
    """What the issuer calls this gateway."""
    client_secret_file: Annotated[str, Field(pattern="^/.+$")] | None = None
    """A file that only this user can read (mode 0600). Absent: a public client, which PKCE alone protects."""
    address: Origin
    """How browsers reach this gateway, such as https://potluck.school.example:8443. The issuer is to send them back to
    ADDRESS/dashboard/oidc/back. A name that is not the machine's own belongs into `gateway.hosts`, too."""
    name: str = Field(default="single sign-on", min_length=1, max_length=64)
    """What the button says: "Sign in with …"."""
    scopes: tuple[Annotated[str, Field(pattern=r"^[!-~]{1,64}$")], ...] = ("openid", "profile")
    """What is asked of the issuer. Many tell groups only for a scope of their own."""
    people: tuple[PeopleSection, ...] = Field(min_length=1, max_length=256)
    """The first that holds gives role and group."""
    refused: tuple[ClaimValue, ...] = ()
    """Subjects (`sub`) who are not let in whatever the rules say; their sessions end when this is applied."""
    lasts: Duration = Field(default=28800.0, gt=0, le=86400, json_schema_extra={"default": "8h"})
    """After so long a session ends however much it is used, and the issuer is asked again. It also ends after 15
    minutes without use."""
    origins: tuple[Origin, ...] = ()
    """Other origins (https://HOST) that the issuer's discovery document may lead to. Absent: its own only."""
    authorities: Annotated[str, Field(pattern="^/.+$")] | None = None
    """Certificates (PEM) of authorities that may vouch for the issuer. Absent: those that this machine trusts."""
    tenant: IssuersTenant = "default"
    """Whose tenant they belong to."""

    @model_validator(mode="after")
    def _openid(self) -> "OidcSection":
        if "openid" not in self.scopes:
            raise ValueError("`scopes` must have `openid`: without it the issuer says of nobody who it is")
        return self
